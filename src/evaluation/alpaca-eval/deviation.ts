import { mean } from "../mean.ts";

/** The standard deviation of a sample, over count - 1; NaN of a single value. */
export function standardDeviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}
