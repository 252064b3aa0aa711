import {
  type Contribution,
  contributions,
  type LeftOut,
  leftOutReasons,
  type PromptCandidates,
  type SelectedBest,
} from "../../preferences/index.ts";
import type { Recipe } from "../../schema/index.ts";
import type { LedgerReader, StoredSelection } from "../../store/index.ts";

/** What was selected from one split of the training prompts. */
export interface SplitSelection {
  readonly selected: number;
  readonly contributions: readonly Contribution[];
  /** Reasons that left something out, with the number of prompts. */
  readonly leftOut: readonly { readonly reason: string; readonly prompts: number }[];
  /** Mean rewards of the selected responses; those of the target are null in the split for supervised tuning. */
  readonly meanRewards: {
    readonly sourceChosen: number | null;
    readonly targetChosen: number | null;
    readonly rejected: number | null;
  };
  /** Selected prompts whose y_ws has a lower reward than y_l. */
  readonly sourceBelowRejected: number;
}

/** Null where nothing was selected or left out yet. Scores that are gone from view (another reward) count as left out. */
export async function splitSelection(
  reader: LedgerReader,
  split: "sft" | "wrpo",
  reward: string,
  rule: Recipe["selection"],
): Promise<SplitSelection | null> {
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
  };
}

async function* candidates(
  reader: LedgerReader,
  reward: string,
  split: "sft" | "wrpo",
): AsyncGenerator<Pick<PromptCandidates, "promptId" | "sources">> {
  for await (const { prompt, responses } of reader.scores.byPrompt("sources", reward)) {
    if (prompt.split === split) yield { promptId: prompt.id, sources: responses };
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
