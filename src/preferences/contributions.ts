import { best, isEmpty, isUsable, type PromptCandidates } from "./candidates.ts";
import type { SelectedBest, SelectionRule, Stream } from "./select.ts";

/** What one source gave to a selection. */
export interface Contribution {
  readonly source: string;
  /** Scored responses, over all prompts given. */
  readonly responses: number;
  /** Mean reward of these responses. */
  readonly meanReward: number;
  /** Responses without text, and responses that the token limit cut off. */
  readonly empty: number;
  readonly unfinished: number;
  /** Selected prompts whose y_ws is this source's, and their share of all selected prompts. */
  readonly chosen: number;
  readonly chosenShare: number;
  /** Selected prompts on which this source reached the reward of y_ws, ties included: never less than `chosen`. */
  readonly reachedBest: number;
}

/** How much each source gave to a selection made by the same rule, the one chosen most often first; a source that was never chosen has its row too. */
export async function contributions(
  prompts: Stream<Pick<PromptCandidates, "promptId" | "sources">>,
  selected: readonly SelectedBest[],
  { unfinished }: Pick<SelectionRule, "unfinished">,
): Promise<Contribution[]> {
  const chosen = new Map(selected.map((selection) => [selection.promptId, selection.sourceChosen]));
  const rows = new Map<string, { -readonly [Field in keyof Contribution]: Contribution[Field] }>();
  const rowOf = (source: string) => {
    const row = rows.get(source) ?? {
      source,
      responses: 0,
      meanReward: 0,
      empty: 0,
      unfinished: 0,
      chosen: 0,
      chosenShare: 0,
      reachedBest: 0,
    };
    rows.set(source, row);
    return row;
  };

  for await (const { promptId, sources } of prompts) {
    for (const candidate of sources) {
      const row = rowOf(candidate.source);
      row.responses += 1;
      row.meanReward += (candidate.value - row.meanReward) / row.responses;
      if (isEmpty(candidate)) row.empty += 1;
      if (candidate.finish === "length") row.unfinished += 1;
    }
    const winner = chosen.get(promptId);
    if (winner === undefined) continue;
    rowOf(winner.source).chosen += 1;
    for (const source of new Set(sources.map((candidate) => candidate.source))) {
      const own = best(sources.filter((candidate) => candidate.source === source && isUsable(candidate, unfinished)));
      if (own !== undefined && own.value >= winner.value) rowOf(source).reachedBest += 1;
    }
  }
  for (const row of rows.values()) row.chosenShare = selected.length === 0 ? 0 : row.chosen / selected.length;
  return [...rows.values()].sort(
    (a, b) => b.chosen - a.chosen || b.meanReward - a.meanReward || (a.source < b.source ? -1 : 1),
  );
}
