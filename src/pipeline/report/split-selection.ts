import { z } from "zod";
import {
  type Contribution,
  contributions,
  type LeftOut,
  leftOutReasons,
  type PromptCandidates,
  type SelectedBest,
  type SelectedQuadruple,
  type SourceScale,
} from "../../preferences/index.ts";
import { contentKey, type Recipe } from "../../schema/index.ts";
import type { LedgerReader, StoredSelection } from "../../store/index.ts";

const figure = z.number();
const contributionSchema = z.object({
  source: z.string(),
  responses: figure,
  meanReward: figure,
  empty: figure,
  unfinished: figure,
  chosen: figure,
  chosenShare: figure,
  reachedBest: figure,
}) satisfies z.ZodType<Contribution>;

/** What was selected from one split of the training prompts. */
const splitSelectionSchema = z.object({
  selected: figure,
  contributions: z.array(contributionSchema),
  /** Reasons that left something out, with the number of prompts. */
  leftOut: z.array(z.object({ reason: z.string(), prompts: figure })),
  /** Mean rewards of the selected responses; those of the target are null in the split for supervised tuning. */
  meanRewards: z.object({
    sourceChosen: figure.nullable(),
    targetChosen: figure.nullable(),
    rejected: figure.nullable(),
  }),
  /** Selected prompts whose y_ws has a lower reward than y_l. */
  sourceBelowRejected: figure,
  /** What each source's rewards were measured by, where all rewards above are standard scores; else none. */
  scales: z.array(z.object({ source: z.string(), mean: figure, deviation: figure })).default([]),
});
export type SplitSelection = z.infer<typeof splitSelectionSchema>;

/** Whether this is the summary of a selection whose rewards were measured by these scales, in the form of this version. */
export function hasSummary(kept: unknown, scales: readonly SourceScale[]): boolean {
  const parsed = splitSelectionSchema.safeParse(kept);
  return parsed.success && contentKey(parsed.data.scales) === contentKey(scales);
}

/** The summary of a selection that was made just now, to be kept beside it. */
export function summarise(
  selected: readonly (SelectedBest | SelectedQuadruple)[],
  stored: readonly StoredSelection[],
  given: readonly Contribution[],
  scales: readonly SourceScale[],
): SplitSelection {
  const quadruples = selected.filter((one): one is SelectedQuadruple => "rejected" in one);
  return {
    selected: selected.length,
    contributions: [...given],
    leftOut: leftOutCounts(stored, 0),
    meanRewards: {
      sourceChosen: mean(selected.map(({ sourceChosen }) => sourceChosen.value)),
      targetChosen: mean(quadruples.map(({ targetChosen }) => targetChosen.value)),
      rejected: mean(quadruples.map(({ rejected }) => rejected.value)),
    },
    sourceBelowRejected: quadruples.filter(({ sourceChosen, rejected }) => sourceChosen.value < rejected.value).length,
    scales: [...scales],
  };
}

/**
 * Null where nothing was selected or left out yet. What was kept when the selection was made counts; the selections of an
 * earlier Amalgam, which kept nothing, are looked up among all scored responses, and those whose scores are gone from
 * view (another reward) count as left out.
 */
export async function splitSelection(
  reader: LedgerReader,
  split: "sft" | "wrpo",
  reward: string,
  rule: Recipe["selection"],
): Promise<SplitSelection | null> {
  const kept = splitSelectionSchema.safeParse(await reader.selections.summary(split));
  if (kept.success) return kept.data;
  const stored = await reader.selections.list(split);
  if (stored.length === 0) return null;
  const selections = stored.filter(({ sourceChosen }) => sourceChosen !== undefined);
  const chosen = await chosenResponses(reader, reward, selections);
  const values = await targetValues(reader, reward, selections);
  const selected = selections.filter(({ promptId }) => chosen.has(promptId));
  const targetValue = (key: string | undefined) => (key === undefined ? undefined : values.get(key));
  return {
    selected: selected.length,
    contributions: await contributions(candidates(reader, reward, split), [...chosen.values()], rule),
    leftOut: leftOutCounts(stored, selections.length - selected.length),
    meanRewards: {
      sourceChosen: mean([...chosen.values()].map(({ sourceChosen }) => sourceChosen.value)),
      targetChosen: mean(selected.flatMap(({ targetChosen }) => targetValue(targetChosen) ?? [])),
      rejected: mean(selected.flatMap(({ rejected }) => targetValue(rejected) ?? [])),
    },
    sourceBelowRejected: selected.filter(({ promptId, rejected }) => {
      const lowest = targetValue(rejected);
      return lowest !== undefined && chosen.get(promptId)!.sourceChosen.value < lowest;
    }).length,
    scales: [],
  };
}

async function* candidates(
  reader: LedgerReader,
  reward: string,
  split: "sft" | "wrpo",
): AsyncGenerator<Pick<PromptCandidates, "promptId" | "sources">> {
  for await (const { prompt, responses } of reader.scores.byPrompt("sources", reward, split))
    yield { promptId: prompt.id, sources: responses };
}

/** y_ws of each prompt. Where two sources are one model, the first by name has it, as in the selection. */
async function chosenResponses(
  reader: LedgerReader,
  reward: string,
  selections: readonly StoredSelection[],
): Promise<Map<string, SelectedBest>> {
  const keys = new Map(selections.map(({ promptId, sourceChosen }) => [promptId, sourceChosen]));
  const found = new Map<string, SelectedBest>();
  for await (const { prompt, responses } of reader.scores.byPrompt("sources", reward)) {
    const matching = responses.filter(({ key }) => key === keys.get(prompt.id));
    const first = matching.sort((a, b) => (a.source < b.source ? -1 : 1))[0];
    // The text is of no use here, and a run has many.
    if (first !== undefined) found.set(prompt.id, { promptId: prompt.id, sourceChosen: { ...first, text: "" } });
  }
  return found;
}

async function targetValues(
  reader: LedgerReader,
  reward: string,
  selections: readonly StoredSelection[],
): Promise<Map<string, number>> {
  const keys = new Set(selections.flatMap(({ targetChosen, rejected }) => [targetChosen ?? [], rejected ?? []].flat()));
  const found = new Map<string, number>();
  if (keys.size === 0) return found;
  for await (const { responses } of reader.scores.byPrompt("target", reward)) {
    for (const { key, value } of responses) if (keys.has(key)) found.set(key, value);
  }
  return found;
}

function leftOutCounts(stored: readonly StoredSelection[], unseen: number): SplitSelection["leftOut"] {
  const counts = new Map<string, number>();
  for (const { leftOut, sourceChosen } of stored) {
    if (sourceChosen !== undefined) continue;
    const reason = describe(leftOut);
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  if (unseen > 0) counts.set("selected by rewards that the ledger's present reward has not given", unseen);
  return [...counts].map(([reason, prompts]) => ({ reason, prompts })).sort((a, b) => b.prompts - a.prompts);
}

function describe(leftOut: string | undefined): string {
  if (leftOut === undefined) return "no reason was noted";
  return Object.hasOwn(leftOutReasons, leftOut) ? leftOutReasons[leftOut as LeftOut] : leftOut;
}

const mean = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
