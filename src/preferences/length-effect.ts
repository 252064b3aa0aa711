import type { Candidate } from "./candidates.ts";
import { type ExactSum, exactSum } from "./exact-sum.ts";

/** What a response's length has to do with its reward, whatever the prompt and whoever wrote it. */
export interface LengthEffect {
  /** What a thousand characters more add to the reward. */
  readonly perThousand: number;
  /** The share of the variation of rewards within prompts and sources that goes with the length: a squared partial correlation. */
  readonly explained: number;
}

type Measured = Pick<Candidate, "source" | "value" | "text">;

/**
 * Fits, by least squares over all responses,
 *
 *     reward = prompt + source + b * characters / 1000 + rest
 *
 * with one constant for each prompt and one for each source, so that neither hard prompts nor a good source that writes
 * much pass for a liking of length. The order of prompts and responses changes no bit of it: sums are exact.
 */
export function lengthEffectFit() {
  const sums = new Map<string, Map<string, ExactSum>>();
  const addTo = (row: string, column: string, value: number) => {
    const columns = sums.get(row) ?? new Map<string, ExactSum>();
    sums.set(row, columns);
    const sum = columns.get(column) ?? exactSum();
    columns.set(column, sum);
    sum.add(value);
  };
  return {
    /** The responses to one prompt. */
    add(responses: readonly Measured[]): void {
      if (responses.length < 2) return;
      const columns = columnsOf(responses);
      for (const [at, one] of columns.entries())
        for (const other of columns.slice(at)) addTo(one.name, other.name, product(one, other, responses.length));
    },

    /** Null where lengths or rewards don't differ beyond what prompts and sources make of them. */
    result(): LengthEffect | null {
      const names = [...new Set([...sums.keys()])].sort();
      return solved(names, (row, column) => sums.get(row)?.get(column)?.total() ?? 0);
    },
  };
}

const lengthColumn = "~length";
const rewardColumn = "~reward";
const sourceColumn = (source: string) => `source ${source}`;

/** A quantity of the responses to one prompt: whom it is of, its sum, and its products with lengths and rewards. */
interface Column {
  readonly name: string;
  /** Of a source: how many responses are its own. */
  readonly count?: number;
  readonly length: number;
  readonly reward: number;
}

/** Sums of lengths (in thousands) and rewards, less the prompt's means. */
function columnsOf(responses: readonly Measured[]): Column[] {
  const thousands = ({ text }: Measured) => text.length / 1000;
  const sorted = [...responses].sort(
    (a, b) => order(a.source, b.source) || a.text.length - b.text.length || a.value - b.value,
  );
  const mean = (of: (one: Measured) => number) => sorted.reduce((sum, one) => sum + of(one), 0) / sorted.length;
  const [meanLength, meanReward] = [mean(thousands), mean(({ value }) => value)];
  const sources = new Map<string, { count: number; length: number; reward: number }>();
  const all = { lengths: 0, both: 0, rewards: 0 };
  for (const one of sorted) {
    const own = sources.get(one.source) ?? { count: 0, length: 0, reward: 0 };
    sources.set(one.source, own);
    const [length, reward] = [thousands(one) - meanLength, one.value - meanReward];
    own.count += 1;
    own.length += length;
    own.reward += reward;
    all.lengths += length * length;
    all.both += length * reward;
    all.rewards += reward * reward;
  }
  return [
    ...[...sources].map(([source, own]) => ({ name: sourceColumn(source), ...own })),
    { name: lengthColumn, length: all.lengths, reward: all.both },
    { name: rewardColumn, length: all.both, reward: all.rewards },
  ];
}

const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** The sum of the products of two quantities of one prompt, each less its mean. */
function product(one: Column, other: Column, responses: number): number {
  if (other.name === lengthColumn) return one.length;
  if (other.name === rewardColumn) return one.reward;
  const both = (one.count! * other.count!) / responses;
  return one.name === other.name ? one.count! - both : -both;
}

/** Takes the sources out of lengths and rewards (Frisch, Waugh and Lovell), and the length out of the rewards. */
function solved(names: readonly string[], sumOf: (row: string, column: string) => number): LengthEffect | null {
  const matrix = names.map((row) => names.map((column) => (row <= column ? sumOf(row, column) : sumOf(column, row))));
  const [length, reward] = [names.indexOf(lengthColumn), names.indexOf(rewardColumn)];
  if (length === -1) return null;
  const before = matrix.map((row, at) => row[at]!);
  for (let pivot = 0; pivot < length; pivot += 1) {
    // Sources that always answer together have one column too many.
    if (!isLeft(matrix, before, pivot)) continue;
    for (let row = pivot + 1; row < names.length; row += 1) {
      const factor = matrix[row]![pivot]! / matrix[pivot]![pivot]!;
      for (let column = pivot; column < names.length; column += 1)
        matrix[row]![column]! -= factor * matrix[pivot]![column]!;
    }
  }
  if (!isLeft(matrix, before, length) || !isLeft(matrix, before, reward)) return null;
  const [lengths, both, rewards] = [matrix[length]![length]!, matrix[length]![reward]!, matrix[reward]![reward]!];
  return { perThousand: both / lengths, explained: both ** 2 / (lengths * rewards) };
}

/** Whether anything but rounding is left of a quantity's own sum of squares. */
const isLeft = (matrix: readonly (readonly number[])[], before: readonly number[], at: number): boolean =>
  matrix[at]![at]! > 1e-10 * before[at]!;
