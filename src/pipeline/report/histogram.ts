/** Counts of values in bins of equal width; the last bin holds its upper edge too. */
export interface Histogram {
  readonly low: number;
  readonly high: number;
  readonly counts: readonly number[];
}

export interface Range {
  readonly low: number;
  readonly high: number;
}

/** The range of all values, widened to 0..1 where it lies inside: rewards are mostly shares. Undefined for no values. */
export function rangeOf(groups: Iterable<readonly number[]>): Range | undefined {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const values of groups) {
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return undefined;
  if (low >= 0 && high <= 1) return { low: 0, high: 1 };
  return low < high ? { low, high } : { low: low - 0.5, high: high + 0.5 };
}

/** Every value must lie in the range. */
export function histogram(values: readonly number[], { low, high }: Range, bins = 20): Histogram {
  const counts = new Array<number>(bins).fill(0);
  for (const value of values) {
    // 0.3 / 0.05 is a little less than 6 in binary.
    const bin = Math.floor(((value - low) / (high - low)) * bins + 1e-9);
    counts[Math.min(bins - 1, bin)]! += 1;
  }
  return { low, high, counts };
}
