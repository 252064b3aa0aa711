import { type Candidate, isCutOff, isEmpty, type PromptCandidates } from "./candidates.ts";
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

/** How much longer one of two texts that are about equally long is at most. */
const equalRatio = 1.1;

/** Whether two texts of so many characters are about equally long: the longer by a tenth at most. */
export const areEquallyLong = (a: number, b: number): boolean => Math.max(a, b) <= equalRatio * Math.min(a, b);

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
  const chosen = new Map(selected.map(({ promptId, sourceChosen }) => [promptId, sourceChosen.key]));
  const counter = contributionCounter(rule);
  for await (const prompt of prompts) {
    const key = chosen.get(prompt.promptId);
    // What the selection keeps of it may lack the text.
    counter.add(prompt, key === undefined ? undefined : prompt.sources.find((one) => one.key === key));
  }
  return counter.result(selected);
}

/** Counts what each source gave while a selection is made by the same rule, so that the responses are read once. */
export function contributionCounter(rule: Omit<SelectionRule, "minGap">) {
  const { worth } = rankingOf(rule);
  const domains = new Map<string, Rows>();
  const reached = new Map<string, { readonly rows: Rows; readonly best: readonly Row[] }>();
  const compare = comparer();
  return {
    /** A prompt's responses, and y_ws where one was chosen: whether it stays so is told at the end. */
    add(
      { promptId, domain = "", sources }: Omit<PromptCandidates, "target">,
      sourceChosen: Candidate | undefined,
    ): void {
      const rows = domains.get(domain) ?? new Map<string, Row>();
      domains.set(domain, rows);
      const groups = bySource(sources, rows);
      for (const [row, responses] of groups) for (const response of responses) count(row, response);
      compare(groups);
      if (sourceChosen === undefined) return;
      const least = worth(sourceChosen);
      const isGood = (response: Candidate) =>
        worth(response) >= least && !isEmpty(response) && !isCutOff(response, rule.unfinished);
      reached.set(promptId, {
        rows,
        best: groups.flatMap(([row, responses]) => (responses.some(isGood) ? [row] : [])),
      });
    },

    result(selected: readonly SelectedBest[]): Contributions {
      for (const { promptId, sourceChosen } of selected) {
        const known = reached.get(promptId);
        if (known === undefined) continue;
        for (const row of known.best) row.reachedBest += 1;
        rowOf(known.rows, sourceChosen.source).chosen += 1;
      }
      const names = [...domains.keys()].sort();
      return {
        sources: finished(joined([...domains.values()]), null),
        domains: names.length < 2 ? [] : names.flatMap((domain) => finished(domains.get(domain)!, domain)),
      };
    },
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

/** Compares every response with every response of another source; keeps its rooms between prompts. */
function comparer(): (groups: readonly (readonly [Row, readonly Candidate[]])[]) => void {
  let values = new Float64Array(64);
  let lengths = new Float64Array(64);
  let bounds = new Float64Array(64);
  return (groups) => {
    const all = groups.flatMap(([, responses]) => responses);
    if (values.length < all.length) {
      values = new Float64Array(2 * all.length);
      lengths = new Float64Array(2 * all.length);
      bounds = new Float64Array(2 * all.length);
    }
    for (const [at, { value, text }] of all.entries()) {
      values[at] = value;
      lengths[at] = text.length;
      bounds[at] = equalRatio * text.length;
    }
    let start = 0;
    for (const [at, [row, responses]] of groups.entries()) {
      const end = start + responses.length;
      let otherStart = end;
      for (let other = at + 1; other < groups.length; other += 1) {
        const [otherRow, others] = groups[other]!;
        const otherEnd = otherStart + others.length;
        addComparisons(row, otherRow, { values, lengths, bounds, start, end, otherStart, otherEnd });
        otherStart = otherEnd;
      }
      start = end;
    }
  };
}

interface Ranges {
  readonly values: Float64Array;
  readonly lengths: Float64Array;
  /** The most characters of a text that is about as long. */
  readonly bounds: Float64Array;
  readonly start: number;
  readonly end: number;
  readonly otherStart: number;
  readonly otherEnd: number;
}

function addComparisons(row: Row, other: Row, ranges: Ranges): void {
  const { values, lengths, bounds, start, end, otherStart, otherEnd } = ranges;
  // In halves and without branches: which way a comparison goes, no processor foresees.
  let won = 0;
  let equal = 0;
  let wonOfEqual = 0;
  for (let i = start; i < end; i += 1) {
    const [value, length, bound] = [values[i]!, lengths[i]!, bounds[i]!];
    for (let j = otherStart; j < otherEnd; j += 1) {
      const win = Number(value > values[j]!) + Number(value >= values[j]!);
      const isEqual = Number(lengths[j]! <= bound) & Number(length <= bounds[j]!);
      won += win;
      equal += isEqual;
      wonOfEqual += win * isEqual;
    }
  }
  const count = (end - start) * (otherEnd - otherStart);
  addTo(row.all, count, won / 2);
  addTo(other.all, count, count - won / 2);
  addTo(row.equallyLong, equal, wonOfEqual / 2);
  addTo(other.equallyLong, equal, equal - wonOfEqual / 2);
}

function addTo(comparisons: Comparisons, count: number, won: number): void {
  comparisons.count += count;
  comparisons.won += won;
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
