import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import {
  type Candidate,
  type Contribution,
  contributions,
  isUsable,
  type LeftOut,
  leftOutReasons,
  type PromptCandidates,
  type SelectedBest,
  type SelectedQuadruple,
  type Selection,
  type SelectionRule,
  type SourceScale,
  selectBest,
  selectQuadruples,
  sourceScales,
  toQuadruple,
  withStandardScores,
  writeQuadruples,
} from "../preferences/index.ts";
import { contentKey, type Quadruple, TrainingError } from "../schema/index.ts";
import type { ScoredResponse, StoredSelection } from "../store/index.ts";
import { hasSummary, summarise } from "./report/split-selection.ts";
import { type Run, runPaths } from "./run.ts";
import { openReward } from "./scoring.ts";

const ruleOf = ({ recipe }: Run): SelectionRule => ({
  minGap: recipe.selection.min_gap,
  unfinished: recipe.selection.unfinished,
  sources: { count: recipe.selection.source_responses, of: recipe.selection.source_responses_of },
});

/**
 * A scored response as far as selection looks at it. A digest stands for the text: it only matters whether two are the same,
 * or one is empty, and a run's texts need not fit into memory.
 */
const light = ({
  key,
  promptId,
  source,
  index,
  text,
  finish,
  promptTokens,
  responseTokens,
  value,
}: ScoredResponse) => ({
  ...{ key, promptId, source, index, finish, promptTokens, responseTokens, value },
  text: text.trim() === "" ? "" : contentKey(text),
});

/** What the rewards are measured by: those of all responses of each source, whatever the split; undefined where they count as they are. */
interface Scales {
  readonly sources: readonly SourceScale[];
  readonly target: readonly SourceScale[];
}

async function scalesOf({ recipe, ledger }: Run, reward: string, withTarget: boolean): Promise<Scales | undefined> {
  if (recipe.selection.normalise === "none") return undefined;
  async function* valued(label: "sources" | "target") {
    for await (const { responses } of ledger.scores.byPrompt(label, reward))
      yield* responses.map(light).filter((response) => isUsable(response, recipe.selection.unfinished));
  }
  return {
    sources: await sourceScales(valued("sources")),
    target: withTarget ? await sourceScales(valued("target")) : [],
  };
}

/** The candidates of a split, their rewards as they are compared. */
async function* candidatesOf(
  run: Run,
  reward: string,
  split: "sft" | "wrpo",
  withTarget: boolean,
  scales: Scales | undefined,
): AsyncGenerator<PromptCandidates> {
  for await (const prompt of scoredCandidates(run, reward, split, withTarget))
    yield scales === undefined ? prompt : withStandardScores(prompt, scales);
}

/** The prompts of a split with the scored responses of the sources, and of the target where it is asked for, as they are read. */
async function* scoredCandidates(
  { ledger }: Run,
  reward: string,
  split: "sft" | "wrpo",
  withTarget: boolean,
): AsyncGenerator<PromptCandidates> {
  const labels = ["sources", ...(withTarget ? ["target"] : [])];
  const streams = labels.map((label) => ledger.scores.byPrompt(label, reward, split)[Symbol.asyncIterator]());
  const heads = await Promise.all(streams.map((stream) => stream.next()));
  for (const { id } of await ledger.prompts.list([split])) {
    const [sources, target] = [[], []] as [Candidate[], Candidate[]];
    for (const [at, head] of heads.entries()) {
      // A label that nothing was drawn under has no prompts; all others have them in this order.
      if (head.done || head.value.prompt.id !== id) continue;
      (at === 0 ? sources : target).push(...head.value.responses.map(light));
      heads[at] = await streams[at]!.next();
    }
    yield { promptId: id, sources, target };
  }
}

function describe(
  run: Run,
  what: string,
  selection: Selection<SelectedBest>,
  given: readonly Contribution[],
): Record<string, number> {
  const { listener } = run;
  const shares = given.map(
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
  scales: readonly SourceScale[],
): Promise<boolean> {
  if (!hasSummary(await ledger.selections.summary(split), scales)) return false;
  return inOrder(await ledger.selections.list(split)) === inOrder(selections);
}

/** Takes back what was selected for supervised tuning when the recipe had one. */
export const selectNothingForSft = (run: Run): Promise<void> => run.ledger.selections.replace("sft", []);

/** y_ws for each prompt of the supervised split: the best response of all sources. Undefined when it was chosen before. */
export async function selectForSft(run: Run): Promise<Record<string, number> | undefined> {
  const reward = await rewardIdentity(run);
  const rule = ruleOf(run);
  const scales = await scalesOf(run, reward, false);
  const selection = await selectBest(candidatesOf(run, reward, "sft", false, scales), rule);
  const rows: StoredSelection[] = [
    ...selection.selected.map(({ promptId, sourceChosen }) => ({ promptId, sourceChosen: sourceChosen.key })),
    ...selection.leftOut,
  ];
  const before = await isStored(run, "sft", rows, scalesShown(scales));
  const given = before ? [] : await contributionsTo(run, reward, "sft", selection, scales);
  if (!before)
    await run.ledger.selections.replace("sft", rows, summarise(selection.selected, rows, given, scalesShown(scales)));
  if (selection.selected.length === 0)
    throw new TrainingError("no prompt of the supervised split has a usable response", {
      hint: `${leftOutWords(selection)}. More prompts, more responses or another reward may help.`,
    });
  if (before) return undefined;
  return describe(run, "supervised tuning", selection, given);
}

/** (y_ws, y_wt, y_l) for each prompt of the preference split, kept in the ledger and as a data set in the interchange format. Undefined when both stand. */
export async function selectForWrpo(run: Run): Promise<Record<string, number> | undefined> {
  const reward = await rewardIdentity(run);
  const rule = ruleOf(run);
  const scales = await scalesOf(run, reward, true);
  const selection = await selectQuadruples(candidatesOf(run, reward, "wrpo", true, scales), rule);
  const rows: StoredSelection[] = [
    ...selection.selected.map(({ promptId, sourceChosen, furtherSources, targetChosen, rejected, sourceRejected }) => ({
      promptId,
      sourceChosen: sourceChosen.key,
      targetChosen: targetChosen.key,
      rejected: rejected.key,
      ...(sourceRejected === undefined ? {} : { sourceRejected: sourceRejected.key }),
      ...(furtherSources === undefined ? {} : { furtherSources: furtherSources.map(({ key }) => key) }),
    })),
    ...selection.leftOut,
  ];
  const file = runPaths(run.folder).quadruples;
  if (selection.selected.length === 0) {
    rmSync(file, { force: true });
    await run.ledger.selections.replace("wrpo", rows, summarise([], rows, [], []));
    throw new TrainingError("no prompt gives a quadruple (y_ws, y_wt, y_l)", {
      hint: `${leftOutWords(selection)}. More responses for each prompt, or a finer reward, help.`,
    });
  }
  if (existsSync(file) && (await isStored(run, "wrpo", rows, scalesShown(scales)))) return undefined;
  mkdirSync(dirname(file), { recursive: true });
  await writeQuadruples(file, quadruplesOf(run, selection.selected));
  const given = await contributionsTo(run, reward, "wrpo", selection, scales);
  // The ledger after the file: a run that was killed between the two finds the old selection and writes both again.
  await run.ledger.selections.replace("wrpo", rows, summarise(selection.selected, rows, given, scalesShown(scales)));
  return describe(run, "WRPO", selection, given);
}

/** Quadruples whose texts are read at once. */
const readTogether = 256;

/** The quadruples with their texts, which are read as they are asked for. */
async function* quadruplesOf({ ledger }: Run, selected: readonly SelectedQuadruple[]): AsyncGenerator<Quadruple> {
  const prompts = new Map((await ledger.prompts.list(["wrpo"])).map((prompt) => [prompt.id, prompt]));
  for (let start = 0; start < selected.length; start += readTogether) {
    const some = selected.slice(start, start + readTogether);
    const partsOf = ({ sourceChosen, furtherSources = [], targetChosen, rejected }: SelectedQuadruple) =>
      [sourceChosen, ...furtherSources, targetChosen, rejected].map(({ key }) => key);
    const texts = await ledger.responses.texts(some.flatMap(partsOf));
    const withText = (candidate: Candidate): Candidate => ({ ...candidate, text: texts.get(candidate.key)! });
    for (const one of some) {
      const whole: SelectedQuadruple = {
        ...one,
        sourceChosen: withText(one.sourceChosen),
        ...(one.furtherSources === undefined ? {} : { furtherSources: one.furtherSources.map(withText) }),
        targetChosen: withText(one.targetChosen),
        rejected: withText(one.rejected),
      };
      yield toQuadruple(whole, prompts.get(one.promptId)!.messages);
    }
  }
}

const contributionsTo = (
  run: Run,
  reward: string,
  split: "sft" | "wrpo",
  { selected }: Selection<SelectedBest>,
  scales: Scales | undefined,
): Promise<Contribution[]> => contributions(candidatesOf(run, reward, split, false, scales), selected, ruleOf(run));

/** The scales of all whose responses were compared. */
const scalesShown = (scales: Scales | undefined): SourceScale[] =>
  scales === undefined ? [] : [...scales.sources, ...scales.target];
