import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { sourceStrengths } from "../evaluation/index.ts";
import {
  type Candidate,
  type Chosen,
  type Contributions,
  contributionCounter,
  isUsable,
  type LeftOut,
  leftOutReasons,
  type Pair,
  type PromptCandidates,
  rewardStatistics,
  type SelectedBest,
  type SelectedPair,
  type SelectedQuadruple,
  type Selection,
  type SelectionRule,
  selectBest,
  selectPairs,
  selectQuadruples,
  toQuadruple,
  type Watch,
  writePairs,
  writeQuadruples,
} from "../preferences/index.ts";
import { contentKey, looksAtTarget, type Quadruple, TrainingError } from "../schema/index.ts";
import type { StoredSelection } from "../store/index.ts";
import { type Measures, measured, measuresOf, measuresShown } from "./measures.ts";
import { hasSummary, summarise } from "./report/split-selection.ts";
import { type Run, runPaths } from "./run.ts";
import { openReward } from "./scoring.ts";
import { componentBy, selectionRule } from "./selection-rule.ts";

/** What is kept of a chosen response: a run's texts need not fit into memory. */
const withoutText = ({ key, source, value }: Candidate): Chosen => ({ key, source, value, text: "" });

/** The candidates of a split, their rewards as they are compared; `look` sees them as they are. */
async function* candidatesOf(
  run: Run,
  reward: string,
  split: "sft" | "wrpo",
  withTarget: boolean,
  measures: Measures,
  look: (scored: PromptCandidates) => void,
): AsyncGenerator<PromptCandidates> {
  for await (const scored of scoredCandidates(run, reward, split, withTarget)) {
    look(scored);
    yield measured(scored, measures);
  }
}

/** The prompts of a split with the scored responses of the sources that take part, and of the target where it is asked for, as they are read. */
async function* scoredCandidates(
  { ledger, recipe }: Run,
  reward: string,
  split: "sft" | "wrpo",
  withTarget: boolean,
): AsyncGenerator<PromptCandidates> {
  const labels = ["sources", ...(withTarget ? ["target"] : [])];
  const streams = labels.map((label) => ledger.scores.byPrompt(label, reward, split)[Symbol.asyncIterator]());
  const heads = await Promise.all(streams.map((stream) => stream.next()));
  for (const { id, domain } of await ledger.prompts.list([split])) {
    const [sources, target] = [[], []] as [Candidate[], Candidate[]];
    for (const [at, head] of heads.entries()) {
      // A label that nothing was drawn under has no prompts; all others have them in this order.
      if (head.done || head.value.prompt.id !== id) continue;
      (at === 0 ? sources : target).push(...head.value.responses);
      heads[at] = await streams[at]!.next();
    }
    const named = recipe.selection.sources;
    const taking = named === undefined ? sources : sources.filter(({ source }) => named.includes(source));
    yield { promptId: id, ...(domain === undefined ? {} : { domain }), sources: taking, target };
  }
}

/** Prompts whose responses are compared pair by pair; where a split has more, these are drawn by lot. */
const comparedPrompts = 20_000;

/** Of the intervals of the sources' strengths. */
const strengthResamples = 1000;

/** Counts what the responses are that a selection is made from, while it is made. */
async function counting(run: Run, split: "sft" | "wrpo", rule: SelectionRule) {
  const { recipe } = run;
  const statistics = rewardStatistics(componentBy(recipe.rewards));
  const strengths = sourceStrengths(recipe.selection.sources ?? recipe.sources.map(({ name }) => name));
  const counter = contributionCounter(rule);
  const share = comparedPrompts / (await run.ledger.prompts.counts())[split];
  const watch: Watch = (prompt, sourceChosen) => {
    if (share >= 1 || lotOf(prompt.promptId) < share) statistics.add(prompt);
    counter.add(prompt, sourceChosen);
  };
  return {
    watch,
    // Standard scores would make all sources equally strong.
    look({ promptId, sources }: PromptCandidates) {
      strengths.add(
        promptId,
        sources.filter((one) => isUsable(one, recipe.selection.unfinished)),
      );
    },
    given: (selected: readonly SelectedBest[]) => ({
      contributions: counter.result(selected),
      statistics: statistics.result(),
      strengths: strengths.result({ resamples: strengthResamples, seed: recipe.seed }),
    }),
  };
}

/** A number in [0, 1) that hangs on the id alone. */
const lotOf = (id: string): number => Number.parseInt(contentKey({ compared: id }).slice(0, 8), 16) / 2 ** 32;

function describe(
  run: Run,
  what: string,
  selection: Selection<SelectedBest>,
  { sources }: Contributions,
  { lengthEffect }: Measures,
): Record<string, number> {
  const { listener } = run;
  if (lengthEffect !== undefined)
    listener.notice(
      `${what}: a thousand characters more add ${lengthEffect.perThousand.toPrecision(3)} to the reward by the fit; compared without that`,
    );
  const shares = sources.map(
    ({ source, chosen, chosenShare }) => `${source} ${chosen} (${(100 * chosenShare).toFixed(0)} %)`,
  );
  listener.notice(`${what}: ${selection.selected.length} prompts selected; best response from: ${shares.join(", ")}`);
  const left = Object.entries(selection.counts).filter(([, count]) => count > 0);
  for (const [reason, count] of left)
    listener.notice(`${what}: ${count} prompts left out: ${leftOutReasons[reason as LeftOut]}`);
  return {
    selected: selection.selected.length,
    ...Object.fromEntries(left.map(([reason, count]) => [`left out: ${reason}`, count])),
  };
}

/** Why prompts were left out, with their numbers. */
const leftOutWords = ({ counts }: Selection<SelectedBest>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${count} prompts: ${leftOutReasons[reason as LeftOut]}`)
    .join("; ");

const rewardIdentity = async (run: Run): Promise<string> => {
  const reward = await openReward(run);
  await reward.close();
  return reward.identity;
};

const inOrder = (selections: readonly StoredSelection[]) =>
  contentKey([...selections].sort((a, b) => (a.promptId < b.promptId ? -1 : 1)));

/** Whether the ledger has exactly this selection, and its summary. */
async function isStored(
  { ledger }: Run,
  split: "sft" | "wrpo",
  selections: readonly StoredSelection[],
  measures: Measures,
): Promise<boolean> {
  if (!hasSummary(await ledger.selections.summary(split), measuresShown(measures))) return false;
  return inOrder(await ledger.selections.list(split)) === inOrder(selections);
}

/** Takes back what was selected for supervised tuning when the recipe had one. */
export const selectNothingForSft = (run: Run): Promise<void> => run.ledger.selections.replace("sft", []);

/** y_ws for each prompt of the supervised split: as a rule the best response of all sources. Undefined when it was chosen before. */
export async function selectForSft(run: Run): Promise<Record<string, number> | undefined> {
  const reward = await rewardIdentity(run);
  const measures = await measuresOf(run, reward, false);
  const rule = selectionRule(run.recipe.selection, measures.lengthEffect?.perThousand);
  const { watch, look, given } = await counting(run, "sft", rule);
  const candidates = candidatesOf(run, reward, "sft", false, measures, look);
  const selection = await selectBest(candidates, rule, { kept: withoutText, watch });
  const rows: StoredSelection[] = [
    ...selection.selected.map(({ promptId, sourceChosen }) => ({ promptId, sourceChosen: sourceChosen.key })),
    ...selection.leftOut,
  ];
  if (selection.selected.length > 0 && (await isStored(run, "sft", rows, measures))) return undefined;
  const found = given(selection.selected);
  await run.ledger.selections.replace("sft", rows, summarise(selection.selected, rows, found, measuresShown(measures)));
  if (selection.selected.length === 0)
    throw new TrainingError("no prompt of the supervised split has a usable response", {
      hint: `${leftOutWords(selection)}. More prompts, more responses or another reward may help.`,
    });
  return describe(run, "supervised tuning", selection, found.contributions, measures);
}

/**
 * (y_ws, y_wt, y_l) for each prompt of the preference split, or (y_ws, y_l) where the recipe has pairs, kept in the ledger and as a data
 * set. Undefined when both stand.
 */
export async function selectForWrpo(run: Run): Promise<Record<string, number> | undefined> {
  const reward = await rewardIdentity(run);
  const { selection: recipe } = run.recipe;
  const { quadruples, pairs } = runPaths(run.folder);
  const [file, other] = recipe.rows === "pairs" ? [pairs, quadruples] : [quadruples, pairs];
  const select = recipe.rows === "pairs" ? selectPairs : selectQuadruples;
  const measures = await measuresOf(run, reward, looksAtTarget(recipe));
  const rule = selectionRule(recipe, measures.lengthEffect?.perThousand);
  const { watch, look, given } = await counting(run, "wrpo", rule);
  const candidates = candidatesOf(run, reward, "wrpo", looksAtTarget(recipe), measures, look);
  const options = { kept: withoutText, watch };
  const selection: Selection<SelectedPair | SelectedQuadruple> = await select(candidates, rule, options);
  const { selected } = selection;
  const rows: StoredSelection[] = [...selected.map(stored), ...selection.leftOut];
  rmSync(other, { force: true });
  if (selected.length === 0) rmSync(file, { force: true });
  else if (existsSync(file) && (await isStored(run, "wrpo", rows, measures))) return undefined;
  const found = given(selected);
  if (selected.length > 0) {
    mkdirSync(dirname(file), { recursive: true });
    if (recipe.rows === "pairs") await writePairs(file, pairsOf(run, selected));
    else await writeQuadruples(file, quadruplesOf(run, selected as readonly SelectedQuadruple[]));
  }
  // The ledger after the file: a run that was killed between the two finds the old selection and writes both again.
  await run.ledger.selections.replace("wrpo", rows, summarise(selected, rows, found, measuresShown(measures)));
  if (selected.length === 0)
    throw new TrainingError(
      recipe.rows === "pairs" ? "no prompt gives a pair (y_ws, y_l)" : "no prompt gives a quadruple (y_ws, y_wt, y_l)",
      { hint: `${leftOutWords(selection)}. More responses for each prompt, or a finer reward, help.` },
    );
  return describe(run, "preferences", selection, found.contributions, measures);
}

/** The same as keys. */
const stored = ({ promptId, sourceChosen, rejected, ...of }: SelectedPair | SelectedQuadruple): StoredSelection => ({
  promptId,
  sourceChosen: sourceChosen.key,
  ...("targetChosen" in of ? { targetChosen: of.targetChosen.key } : {}),
  rejected: rejected.key,
  ...("targetChosen" in of && of.sourceRejected !== undefined ? { sourceRejected: of.sourceRejected.key } : {}),
  ...("targetChosen" in of && of.furtherSources !== undefined
    ? { furtherSources: of.furtherSources.map(({ key }) => key) }
    : {}),
});

/** Rows whose texts are read at once. */
const readTogether = 256;

/** The rows made of what was selected and its prompt, the texts of these parts read as they are asked for. */
async function* withTexts<Selected extends SelectedPair, Row>(
  { ledger }: Run,
  selected: readonly Selected[],
  partsOf: (one: Selected) => readonly Chosen[],
  toRow: (one: Selected, textOf: (part: Chosen) => string, messages: Quadruple["messages"]) => Row,
): AsyncGenerator<Row> {
  const prompts = new Map((await ledger.prompts.list(["wrpo"])).map((prompt) => [prompt.id, prompt]));
  for (let start = 0; start < selected.length; start += readTogether) {
    const some = selected.slice(start, start + readTogether);
    const texts = await ledger.responses.texts(
      some.flatMap((one) => partsOf(one).map(({ key }) => ({ promptId: one.promptId, key }))),
    );
    for (const one of some) yield toRow(one, ({ key }) => texts.get(key)!, prompts.get(one.promptId)!.messages);
  }
}

const quadruplesOf = (run: Run, selected: readonly SelectedQuadruple[]): AsyncGenerator<Quadruple> =>
  withTexts(
    run,
    selected,
    ({ sourceChosen, furtherSources = [], targetChosen, rejected }) => [
      ...[sourceChosen, ...furtherSources],
      ...[targetChosen, rejected],
    ],
    (one, textOf, messages) => {
      const whole = (part: Chosen): Chosen => ({ ...part, text: textOf(part) });
      const { furtherSources } = one;
      const texts: SelectedQuadruple = {
        ...one,
        sourceChosen: whole(one.sourceChosen),
        ...(furtherSources === undefined ? {} : { furtherSources: furtherSources.map(whole) }),
        targetChosen: whole(one.targetChosen),
        rejected: whole(one.rejected),
      };
      return toQuadruple(texts, messages);
    },
  );

const pairsOf = (run: Run, selected: readonly SelectedPair[]): AsyncGenerator<Pair> =>
  withTexts(
    run,
    selected,
    ({ sourceChosen, rejected }) => [sourceChosen, rejected],
    ({ promptId, sourceChosen, rejected }, textOf, messages) => ({
      ...{ promptId, messages },
      chosen: textOf(sourceChosen),
      rejected: textOf(rejected),
    }),
  );
