/** A sum this small a share of its terms' sizes is 0 on paper: the order of its terms leaves some last bits. */
export const rounding = 1e-12;

/** A sum over `count`, and 0 where nothing but rounding is left of terms whose sizes add up to `size`. */
export const meanOfSum = (sum: number, size: number, count: number): number =>
  Math.abs(sum) <= rounding * size ? 0 : sum / count;

/** The mean of one value or more. */
export function mean(values: readonly number[]): number {
  let sum = 0;
  let size = 0;
  for (const value of values) {
    sum += value;
    size += Math.abs(value);
  }
  return meanOfSum(sum, size, values.length);
}
