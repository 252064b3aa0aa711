import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import {
  type Contribution,
  contributions,
  type LeftOut,
  leftOutReasons,
  type PromptCandidates,
  type SelectedBest,
  type SelectedQuadruple,
  type Selection,
  type SelectionRule,
  selectBest,
  selectQuadruples,
  toQuadruple,
  writeQuadruples,
} from "../preferences/index.ts";
import { contentKey, TrainingError } from "../schema/index.ts";
import type { ScoredResponse, StoredPrompt, StoredSelection } from "../store/index.ts";
import { type Run, runPaths } from "./run.ts";
import { openReward } from "./scoring.ts";

const ruleOf = ({ recipe }: Run): SelectionRule => ({
  minGap: recipe.selection.min_gap,
  unfinished: recipe.selection.unfinished,
  sources: { count: recipe.selection.source_responses, of: recipe.selection.source_responses_of },
});

/** Scored responses of a label, by prompt. */
async function scoredBy(
  run: Run,
  label: string,
  reward: string,
  split: StoredPrompt["split"],
): Promise<Map<string, readonly ScoredResponse[]>> {
  const found = new Map<string, readonly ScoredResponse[]>();
  for await (const { prompt, responses } of run.ledger.scores.byPrompt(label, reward))
    if (prompt.split === split) found.set(prompt.id, responses);
  return found;
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

/** Whether the ledger has exactly this selection. */
async function isStored(run: Run, split: "sft" | "wrpo", selections: readonly StoredSelection[]): Promise<boolean> {
  return inOrder(await run.ledger.selections.list(split)) === inOrder(selections);
}

/** Takes back what was selected for supervised tuning when the recipe had one. */
export const selectNothingForSft = (run: Run): Promise<void> => run.ledger.selections.replace("sft", []);

/** y_ws for each prompt of the supervised split: the best response of all sources. Undefined when it was chosen before. */
export async function selectForSft(run: Run): Promise<Record<string, number> | undefined> {
  const candidates: PromptCandidates[] = [];
  for (const [promptId, sources] of await scoredBy(run, "sources", await rewardIdentity(run), "sft"))
    candidates.push({ promptId, sources, target: [] });
  const rule = ruleOf(run);
  const selection = await selectBest(candidates, rule);
  const rows: StoredSelection[] = [
    ...selection.selected.map(({ promptId, sourceChosen }) => ({ promptId, sourceChosen: sourceChosen.key })),
    ...selection.leftOut,
  ];
  const before = await isStored(run, "sft", rows);
  if (!before) await run.ledger.selections.replace("sft", rows);
  if (selection.selected.length === 0)
    throw new TrainingError("no prompt of the supervised split has a usable response", {
      hint: `${leftOutWords(selection)}. More prompts, more responses or another reward may help.`,
    });
  if (before) return undefined;
  return describe(run, "supervised tuning", selection, await contributions(candidates, selection.selected, rule));
}

/** (y_ws, y_wt, y_l) for each prompt of the preference split, kept in the ledger and as a data set in the interchange format. Undefined when both stand. */
export async function selectForWrpo(run: Run): Promise<Record<string, number> | undefined> {
  const reward = await rewardIdentity(run);
  const sources = await scoredBy(run, "sources", reward, "wrpo");
  const targets = await scoredBy(run, "target", reward, "wrpo");
  const prompts = (await run.ledger.prompts.list(["wrpo"])).map((prompt) => [prompt.id, prompt] as const);
  const candidates = prompts.map(
    ([promptId]): PromptCandidates => ({
      promptId,
      sources: sources.get(promptId) ?? [],
      target: targets.get(promptId) ?? [],
    }),
  );
  const rule = ruleOf(run);
  const selection = await selectQuadruples(candidates, rule);
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
    await run.ledger.selections.replace("wrpo", rows);
    throw new TrainingError("no prompt gives a quadruple (y_ws, y_wt, y_l)", {
      hint: `${leftOutWords(selection)}. More responses for each prompt, or a finer reward, help.`,
    });
  }
  if (existsSync(file) && (await isStored(run, "wrpo", rows))) return undefined;
  const messages = new Map(prompts.map(([id, prompt]) => [id, prompt.messages]));
  mkdirSync(dirname(file), { recursive: true });
  await writeQuadruples(
    file,
    selection.selected.map((selected: SelectedQuadruple) => toQuadruple(selected, messages.get(selected.promptId)!)),
  );
  // The ledger after the file: a run that was killed between the two finds the old selection and writes both again.
  await run.ledger.selections.replace("wrpo", rows);
  return describe(run, "WRPO", selection, await contributions(candidates, selection.selected, rule));
}
