import { keptDraws, type Resampling } from "../resampling.ts";
import { type Comparison, compare, isTie } from "../statistics.ts";
import { lengthOf } from "./lengths.ts";
import { benjaminiHochberg, holm } from "./multiple-testing.ts";
import type { ComparedPair, PairComparison } from "./schema.ts";
import type { BenchmarkResult, Item, Measured } from "./table.ts";
import { wilson } from "./wilson.ts";
import { comparisonSentence } from "./words.ts";

const level = 0.05;

/**
 * Every two models on every benchmark, over the questions that both have a verdict for: mean difference with its paired bootstrap
 * interval, sign-flip permutation test, wins. The p-values are corrected over all of them. `a` stands before `b` in `models`.
 */
export function comparePairs(
  results: readonly BenchmarkResult[],
  models: readonly string[],
  resampling: Resampling,
): PairComparison[] {
  const shared = { ...resampling, draws: keptDraws(resampling) };
  const pairs = results.flatMap((result) => pairsOf(result, models).map(([a, b]) => counted(result, a, b, shared)));
  const tested = pairs.flatMap(({ comparison }) => (comparison === null ? [] : [comparison]));
  const pValues = tested.map(({ pValue }) => pValue);
  const [byHolm, byRate] = [holm(pValues), benjaminiHochberg(pValues)];
  return pairs.map(({ comparison, longer, result, ...pair }): PairComparison => {
    const at = comparison === null ? -1 : tested.indexOf(comparison);
    const outcome =
      comparison === null ? null : outcomeOf(comparison, { holm: byHolm[at]!, benjaminiHochberg: byRate[at]! }, longer);
    return { ...pair, outcome, sentence: comparisonSentence({ ...pair, outcome }, result, tested.length) };
  });
}

function pairsOf({ models: measured }: BenchmarkResult, models: readonly string[]) {
  const ordered = models.flatMap((name) => measured.find(({ model }) => model === name) ?? []);
  return ordered.flatMap((a, at) => ordered.slice(at + 1).map((b) => [a, b] as const));
}

function counted(result: BenchmarkResult, a: Measured, b: Measured, resampling: Resampling) {
  const [itemsA, itemsB] = [itemsById(a), itemsById(b)];
  const both = a.items.filter(({ id }) => itemsB.has(id));
  const questions = both.length;
  return {
    result,
    benchmark: result.benchmark,
    a: a.model,
    b: b.model,
    questions,
    onlyA: itemsA.size - questions,
    onlyB: itemsB.size - questions,
    comparison: questions === 0 ? null : compare(valuesOf(a), valuesOf(b), resampling),
    longer: longerOf(both.map((item) => [item, itemsB.get(item.id)!] as const)),
  };
}

const valuesOf = ({ items }: Measured) => new Map(items.map(({ id, value }) => [id, value]));

/** A model's items by their questions. Throws where a question stands twice. */
export function itemsById({ model, items }: Measured): Map<string, Item> {
  const found = new Map(items.map((item) => [item.id, item]));
  if (found.size === items.length) return found;
  const seen = new Set<string>();
  const twice = items.find(({ id }) => seen.has(id) || !seen.add(id));
  throw new Error(`${model} has two items of question ${twice?.id}`);
}

function outcomeOf(
  { meanA, meanB, difference, interval, pValue, wins, ties, losses, winRate, prompts }: Comparison,
  corrected: Pick<ComparedPair, "holm" | "benjaminiHochberg">,
  longer: ComparedPair["longer"],
): ComparedPair {
  const significant = (interval.low > 0 || interval.high < 0) && corrected.holm <= level;
  return {
    ...{ meanA, meanB, difference, interval, pValue, ...corrected },
    better: !significant ? "none" : difference > 0 ? "a" : "b",
    ...{ wins, ties, losses, winRate },
    winRateInterval: wilson(wins + ties / 2, prompts),
    longer,
  };
}

function longerOf(pairs: readonly (readonly [Item, Item])[]): ComparedPair["longer"] {
  const decided = pairs.flatMap(([a, b]) => {
    if (a.answer === undefined || b.answer === undefined || isTie(a.value, b.value)) return [];
    const more = lengthOf(a.answer) - lengthOf(b.answer);
    return more === 0 ? [] : [more > 0 === a.value > b.value];
  });
  return decided.length === 0 ? null : { won: decided.filter((longerWon) => longerWon).length, of: decided.length };
}

/** One model against another on a benchmark, as the row of a win matrix sees it. */
export interface WinCell {
  readonly questions: number;
  readonly wins: number;
  readonly ties: number;
  readonly losses: number;
  /** (wins + ties / 2) / questions, with Wilson's 95 % interval. */
  readonly winRate: number;
  readonly interval: { readonly low: number; readonly high: number };
}

/** The share of a benchmark's questions on which `row` beats `column`, ties half; null for a model with itself or without common questions. */
export function winCell(
  comparisons: readonly PairComparison[],
  benchmark: string,
  row: string,
  column: string,
): WinCell | null {
  const of = (a: string, b: string) =>
    comparisons.find((pair) => pair.benchmark === benchmark && pair.a === a && pair.b === b);
  const forward = of(row, column);
  if (forward?.outcome) {
    const { wins, ties, losses, winRate, winRateInterval } = forward.outcome;
    return { questions: forward.questions, wins, ties, losses, winRate, interval: winRateInterval };
  }
  const backward = of(column, row);
  if (!backward?.outcome) return null;
  const { wins, ties, losses, winRate, winRateInterval: of95 } = backward.outcome;
  const interval = { low: 1 - of95.high, high: 1 - of95.low };
  return { questions: backward.questions, wins: losses, ties, losses: wins, winRate: 1 - winRate, interval };
}
