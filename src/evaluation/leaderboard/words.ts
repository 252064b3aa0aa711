import type { PairComparison } from "./schema.ts";
import type { BenchmarkResult, Column } from "./table.ts";

/** A benchmark's name with its judge, and whether it is not official: how it is called where figures of it stand. */
export function standingName({
  benchmark,
  judge,
  official,
}: Pick<BenchmarkResult, "benchmark" | "judge" | "official">): string {
  const standing = [...(judge === null ? [] : [`judge: ${judge}`]), ...(official ? [] : ["not official"])];
  return standing.length === 0 ? benchmark : `${benchmark} (${standing.join(", ")})`;
}

/** A difference of figures in words: per cents differ by percentage points. */
export const unitOfDifference = (unit: Column["unit"]): string => (unit === "%" ? "percentage points" : unit);

/** What a comparison allows to say, with every figure that it rests on. `tests` is how many p-values were corrected together. */
export function comparisonSentence(
  { a, b, questions, onlyA, onlyB, outcome }: Omit<PairComparison, "sentence" | "benchmark">,
  result: BenchmarkResult,
  tests: number,
): string {
  const benchmark = standingName(result);
  const { unit } = result.columns[0]!;
  const unpaired = [
    ...(onlyA > 0 ? [`${questionsOf(onlyA)} that only ${a} has a verdict for`] : []),
    ...(onlyB > 0 ? [`${questionsOf(onlyB)} that only ${b} has a verdict for`] : []),
  ];
  const left = unpaired.length === 0 ? "" : ` Not compared: ${unpaired.join(", ")}.`;
  if (outcome === null) return `${a} and ${b} have no question in common on ${benchmark}.${left}`;
  const { interval, pValue, holm, better } = outcome;
  const turned = better === "b";
  const [first, second] = turned ? [b, a] : [a, b];
  const difference = turned ? -outcome.difference : outcome.difference;
  const [low, high] = turned ? [-interval.high, -interval.low] : [interval.low, interval.high];
  const figures =
    `${first} - ${second} = ${signed(difference)} ${unitOfDifference(unit)}, 95 % interval ${signed(low)} to ${signed(high)}, ` +
    `p = ${probability(pValue)}, after Holm's correction for ${tests === 1 ? "1 test" : `${tests} tests`} ${probability(holm)}; ` +
    questionsOf(questions);
  if (better !== "none") return `${first} is better than ${second} on ${benchmark}: ${figures}.${left}`;
  const alone =
    pValue <= 0.05 && holm > 0.05 ? " Significant by itself, but not after the correction for all comparisons." : "";
  return `No significant difference between ${a} and ${b} on ${benchmark}: ${figures}.${alone}${left}`;
}

const questionsOf = (count: number) => `${count} ${count === 1 ? "question" : "questions"}`;

const signed = (value: number): string => `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(2)}`;

const probability = (value: number): string => (value < 0.001 ? value.toExponential(1) : value.toFixed(3));
