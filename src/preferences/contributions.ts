import { type Candidate, isEmpty, isUsable, type PromptCandidates } from "./candidates.ts";
import type { SelectedBest, Stream } from "./select.ts";
import { rankingOf } from "./selection/ranking.ts";
import type { SelectionRule } from "./selection/rule.ts";

/** What one source gave to a selection, or to what of it is of one domain. */
export interface Contribution {
  readonly source: string;
  /** Of the prompts; null for all of them together. */
  readonly domain: string | null;
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
  /** Selected prompts on which this source had a response worth as much as y_ws, ties included: never less than `chosen`, unless the rule is for a lower rank. */
  readonly reachedBest: number;
  /**
   * Share of its responses' comparisons with those of other sources to the same prompt in which its reward is the higher,
   * ties as halves; and of those comparisons alone whose texts are about equally long (`areEquallyLong`). Null where there is none.
   */
  readonly winShare: number | null;
  readonly equalLengthWinShare: number | null;
}

/** Whether two texts of so many characters are about equally long: the longer by a tenth at most. */
export const areEquallyLong = (a: number, b: number): boolean => Math.max(a, b) <= 1.1 * Math.min(a, b);

export interface Contributions {
  /** A source that was never chosen has its row too; the one chosen most often first. */
  readonly sources: readonly Contribution[];
  /** The same for each domain, in their order by name; empty where the prompts have one domain at most. */
  readonly domains: readonly Contribution[];
}

/** How much each source gave to a selection made by the same rule. */
export async function contributions(
  prompts: Stream<Omit<PromptCandidates, "target">>,
  selected: readonly SelectedBest[],
  rule: Omit<SelectionRule, "minGap">,
): Promise<Contributions> {
  const chosen = new Map(selected.map(({ promptId, sourceChosen }) => [promptId, sourceChosen]));
  const { best, worth } = rankingOf(rule);
  const domains = new Map<string, Rows>();
  for await (const { promptId, domain = "", sources } of prompts) {
    const rows = domains.get(domain) ?? new Map<string, Row>();
    domains.set(domain, rows);
    const groups = bySource(sources, rows);
    for (const [row, responses] of groups) for (const response of responses) count(row, response);
    compareAll(groups);
    const winner = chosen.get(promptId);
    if (winner === undefined) continue;
    // What the selection keeps of it may lack the text.
    const whole = sources.find(({ key }) => key === winner.key);
    for (const [row, responses] of groups) {
      const own = best(responses.filter((response) => isUsable(response, rule.unfinished)));
      if (own !== undefined && whole !== undefined && worth(own) >= worth(whole)) row.reachedBest += 1;
      if (row.source === winner.source) row.chosen += 1;
    }
  }
  const names = [...domains.keys()].sort();
  return {
    sources: finished(joined([...domains.values()]), null),
    domains: names.length < 2 ? [] : names.flatMap((domain) => finished(domains.get(domain)!, domain)),
  };
}

/** Comparisons with the responses of other sources. */
interface Comparisons {
  count: number;
  /** Ties as halves. */
  won: number;
}

/** What is counted of a source. */
interface Row {
  readonly source: string;
  responses: number;
  rewards: number;
  empty: number;
  unfinished: number;
  chosen: number;
  reachedBest: number;
  readonly all: Comparisons;
  readonly equallyLong: Comparisons;
}
type Rows = Map<string, Row>;

const emptyRow = (source: string): Row => ({
  ...{ source, responses: 0, rewards: 0, empty: 0, unfinished: 0, chosen: 0, reachedBest: 0 },
  all: { count: 0, won: 0 },
  equallyLong: { count: 0, won: 0 },
});

function rowOf(rows: Rows, source: string): Row {
  const row = rows.get(source) ?? emptyRow(source);
  rows.set(source, row);
  return row;
}

function bySource(candidates: readonly Candidate[], rows: Rows): [Row, Candidate[]][] {
  const groups = new Map<Row, Candidate[]>();
  for (const candidate of candidates) {
    const row = rowOf(rows, candidate.source);
    const group = groups.get(row);
    if (group === undefined) groups.set(row, [candidate]);
    else group.push(candidate);
  }
  return [...groups];
}

function count(row: Row, response: Candidate): void {
  row.responses += 1;
  row.rewards += response.value;
  if (isEmpty(response)) row.empty += 1;
  if (response.finish === "length") row.unfinished += 1;
}

/** Every response against every response of another source. */
function compareAll(groups: readonly (readonly [Row, readonly Candidate[]])[]): void {
  for (const [at, [row, responses]] of groups.entries())
    for (const [otherRow, others] of groups.slice(at + 1))
      for (const { value, text } of responses)
        for (const other of others) {
          const won = value > other.value ? 1 : value < other.value ? 0 : 0.5;
          row.all.count += 1;
          row.all.won += won;
          otherRow.all.count += 1;
          otherRow.all.won += 1 - won;
          if (!areEquallyLong(text.length, other.text.length)) continue;
          row.equallyLong.count += 1;
          row.equallyLong.won += won;
          otherRow.equallyLong.count += 1;
          otherRow.equallyLong.won += 1 - won;
        }
}

/** The rows of several domains as one. */
function joined(domains: readonly Rows[]): Rows {
  const sums: Rows = new Map();
  for (const row of domains.flatMap((rows) => [...rows.values()])) {
    const sum = rowOf(sums, row.source);
    for (const field of ["responses", "rewards", "empty", "unfinished", "chosen", "reachedBest"] as const)
      sum[field] += row[field];
    for (const kind of ["all", "equallyLong"] as const) {
      sum[kind].count += row[kind].count;
      sum[kind].won += row[kind].won;
    }
  }
  return sums;
}

function finished(rows: Rows, domain: string | null): Contribution[] {
  const selected = [...rows.values()].reduce((sum, { chosen }) => sum + chosen, 0);
  const share = ({ won, count }: Comparisons) => (count === 0 ? null : won / count);
  return [...rows.values()]
    .map(({ rewards, all, equallyLong, ...row }) => ({
      ...row,
      domain,
      meanReward: rewards / row.responses,
      chosenShare: selected === 0 ? 0 : row.chosen / selected,
      winShare: share(all),
      equalLengthWinShare: share(equallyLong),
    }))
    .sort((a, b) => b.chosen - a.chosen || b.meanReward - a.meanReward || (a.source < b.source ? -1 : 1));
}
