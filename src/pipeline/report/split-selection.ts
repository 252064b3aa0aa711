import { z } from "zod";
import type { SourceStrengths } from "../../evaluation/index.ts";
import {
  type Contributions,
  contributions,
  type LeftOut,
  type LengthEffect,
  leftOutReasons,
  type PromptCandidates,
  type RewardStatistics,
  type SelectedBest,
  type SelectedPair,
  type SelectedQuadruple,
} from "../../preferences/index.ts";
import { contentKey, type Recipe } from "../../schema/index.ts";
import type { LedgerReader, StoredSelection } from "../../store/index.ts";
import { selectionRule } from "../selection-rule.ts";
import { histogram, rangeOf } from "./histogram.ts";

const figure = z.number();
const contributionSchema = z.object({
  source: z.string(),
  domain: z.string().nullable().default(null),
  responses: figure,
  meanReward: figure,
  empty: figure,
  unfinished: figure,
  chosen: figure,
  chosenShare: figure,
  reachedBest: figure,
  winShare: figure.nullable().default(null),
  equalLengthWinShare: figure.nullable().default(null),
});

const lengthEffectSchema = z.object({ perThousand: figure, explained: figure }) satisfies z.ZodType<LengthEffect>;

const statisticsSchema = z.object({
  prompts: figure,
  pairs: figure,
  agreement: z.array(
    z.object({ components: z.tuple([z.string(), z.string()]), tau: figure.nullable(), decided: figure }),
  ),
  length: z.object({
    tau: figure.nullable(),
    longerWins: z.array(z.object({ from: figure, below: figure.nullable(), pairs: figure, share: figure.nullable() })),
    effect: lengthEffectSchema.nullable().default(null),
  }),
}) satisfies z.ZodType<RewardStatistics>;

const strengthsSchema = z.object({
  sources: z.array(
    z.object({
      source: z.string(),
      elo: figure.nullable(),
      interval: z.object({ low: figure, high: figure, level: figure }).nullable(),
      wins: figure,
      ties: figure,
      losses: figure,
    }),
  ),
  prompts: figure,
  bounded: z.boolean(),
}) satisfies z.ZodType<SourceStrengths>;

/** How far apart the preferred and the dispreferred responses are, by their rewards. */
const gapsSchema = z.object({
  mean: figure,
  /** At 5, 50 and 95 per cent of the rows. */
  quantiles: z.tuple([figure, figure, figure]),
  histogram: z.object({ low: figure, high: figure, counts: z.array(figure) }),
});
export type Gaps = z.infer<typeof gapsSchema>;

/** What was selected from one split of the training prompts. */
const splitSelectionSchema = z.object({
  selected: figure,
  contributions: z.array(contributionSchema),
  /** The same by domain, where the prompts have several. */
  domains: z.array(contributionSchema).default([]),
  /** Reasons that left something out, with the number of prompts. */
  leftOut: z.array(z.object({ reason: z.string(), prompts: figure })),
  /** Mean rewards of the selected responses; those of the target are null in the split for supervised tuning and in pairs without it. */
  meanRewards: z.object({
    sourceChosen: figure.nullable(),
    targetChosen: figure.nullable(),
    rejected: figure.nullable(),
  }),
  /** Selected prompts whose y_ws has a lower reward than y_l. */
  sourceBelowRejected: figure,
  /** Between y_wt, of pairs y_ws, and y_l; null where there is no y_l, and in summaries of an earlier Amalgam. */
  gaps: gapsSchema.nullable().default(null),
  statistics: statisticsSchema.nullable().default(null),
  /** By Bradley and Terry's model, from the rewards themselves; null in summaries of an earlier Amalgam. */
  strengths: strengthsSchema.nullable().default(null),
  /** How the rewards were made one value, which all values above are. */
  combine: z.enum(["mean", "vote"]).default("mean"),
  /** What each source's rewards were measured by, where all rewards above are standard scores; else none. */
  scales: z.array(z.object({ source: z.string(), mean: figure, deviation: figure })).default([]),
  /** What the length was fitted to add to the rewards, where they were compared without it. */
  lengthEffect: lengthEffectSchema.nullable().default(null),
});
export type SplitSelection = z.infer<typeof splitSelectionSchema>;

/** By what the rewards of a selection were measured. */
type ShownMeasures = Pick<SplitSelection, "combine" | "scales" | "lengthEffect">;

/** Whether this is the summary of a selection whose rewards were measured so, in the form of this version. */
export function hasSummary(kept: unknown, measures: ShownMeasures): boolean {
  const parsed = splitSelectionSchema.safeParse(kept);
  if (!parsed.success || parsed.data.statistics === null || parsed.data.strengths === null) return false;
  const { combine, scales, lengthEffect } = parsed.data;
  return contentKey({ combine, scales, lengthEffect }) === contentKey({ ...measures });
}

/** What the responses are that a selection was made from. */
interface Given {
  readonly contributions: Contributions;
  readonly statistics: RewardStatistics;
  readonly strengths: SourceStrengths;
}

/** The summary of a selection that was made just now, to be kept beside it. */
export function summarise(
  selected: readonly (SelectedBest | SelectedPair | SelectedQuadruple)[],
  stored: readonly StoredSelection[],
  { contributions: given, statistics, strengths }: Given,
  measures: ShownMeasures,
): SplitSelection {
  const pairs = selected.filter((one): one is SelectedPair => "rejected" in one);
  const quadruples = pairs.filter((one): one is SelectedQuadruple => "targetChosen" in one);
  const preferred = (one: SelectedPair) =>
    "targetChosen" in one ? (one as SelectedQuadruple).targetChosen : one.sourceChosen;
  return {
    selected: selected.length,
    contributions: [...given.sources],
    domains: [...given.domains],
    leftOut: leftOutCounts(stored, 0),
    meanRewards: {
      sourceChosen: mean(selected.map(({ sourceChosen }) => sourceChosen.value)),
      targetChosen: mean(quadruples.map(({ targetChosen }) => targetChosen.value)),
      rejected: mean(pairs.map(({ rejected }) => rejected.value)),
    },
    sourceBelowRejected: pairs.filter(({ sourceChosen, rejected }) => sourceChosen.value < rejected.value).length,
    gaps: gapsOf(pairs.map((one) => preferred(one).value - one.rejected.value)),
    statistics: {
      ...statistics,
      agreement: [...statistics.agreement],
      length: { ...statistics.length, longerWins: [...statistics.length.longerWins] },
    },
    strengths: { ...strengths, sources: [...strengths.sources] },
    ...measures,
  };
}

function gapsOf(gaps: readonly number[]): Gaps | null {
  const [average, range] = [mean(gaps), rangeOf([gaps])];
  if (average === null || range === undefined) return null;
  const sorted = Float64Array.from(gaps).sort();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
  // Gaps below 1 of rewards that are no shares fill a part of 0..1 only.
  const fitted = { low: Math.min(0, sorted[0]!), high: sorted.at(-1)! };
  const { low, high, counts } = histogram(gaps, fitted.low < fitted.high ? fitted : range);
  return { mean: average, quantiles: [at(0.05), at(0.5), at(0.95)], histogram: { low, high, counts: [...counts] } };
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
  const given = await contributions(candidates(reader, reward, split), [...chosen.values()], selectionRule(rule));
  return {
    selected: selected.length,
    contributions: [...given.sources],
    domains: [...given.domains],
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
    gaps: null,
    statistics: null,
    strengths: null,
    combine: "mean",
    scales: [],
    lengthEffect: null,
  };
}

async function* candidates(
  reader: LedgerReader,
  reward: string,
  split: "sft" | "wrpo",
): AsyncGenerator<Omit<PromptCandidates, "target">> {
  for await (const { prompt, responses } of reader.scores.byPrompt("sources", reward, split)) {
    const { id, domain } = prompt;
    yield { promptId: id, ...(domain === undefined ? {} : { domain }), sources: responses };
  }
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
    if (first === undefined) continue;
    // The text is of no use here, and a run has many.
    const { key, source, value } = first;
    found.set(prompt.id, { promptId: prompt.id, sourceChosen: { key, source, value, text: "" } });
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
