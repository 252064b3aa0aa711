import { mean } from "../mean.ts";
import type { Metric, Scores } from "./task.ts";

/** A figure of some documents; the standard error is null where lm-eval has none. */
export interface Aggregate {
  readonly value: number;
  readonly standardError: number | null;
  readonly size: number;
}

/** The mean's standard error by the sample's deviation (ddof 1), summed as lm-eval sums; null for fewer than two values. */
export function meanStandardError(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const centre = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1)) / Math.sqrt(values.length);
}

/** One metric over the documents' scores. */
export function aggregate({ key, of }: Metric, scores: readonly Scores[]): Aggregate {
  const values = scores.map((one) => one[key]!);
  if (of === "mean") {
    const numbers = values as readonly number[];
    return { value: mean(numbers), standardError: meanStandardError(numbers), size: numbers.length };
  }
  const verdicts = (values as readonly (readonly boolean[])[]).flat();
  return { value: mean(verdicts.map(Number)), standardError: null, size: values.length };
}

/**
 * Groups as one figure, as lm-eval has them: the mean weighted by size, and the standard error by the pooled variance,
 * sqrt(sum (n_g - 1) n_g se_g^2 / (N - G) / N).
 */
export function pooled(groups: readonly Aggregate[]): Aggregate {
  const size = groups.reduce((sum, group) => sum + group.size, 0);
  const value = groups.reduce((sum, group) => sum + group.value * group.size, 0) / size;
  const known = groups.every(({ standardError }) => standardError !== null);
  const variance =
    groups.reduce((sum, group) => sum + (group.size - 1) * (group.standardError ?? 0) ** 2 * group.size, 0) /
    (size - groups.length);
  return { value, standardError: known ? Math.sqrt(variance / size) : null, size };
}
