/** A stretch of values and where they lie in a figure. */
export interface Axis {
  readonly low: number;
  readonly high: number;
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

/** An axis from `from` to `to` units of the figure, with about `count` round ticks inside the values. */
export function axis(low: number, high: number, from: number, to: number, count = 4): Axis {
  const span = high - low;
  return {
    low,
    high,
    at: (value) => from + ((value - low) / span) * (to - from),
    ticks: ticksOf(low, high, count),
  };
}

/** The range of some values, widened where they are all the same, and by `margin` of its size. */
export function extent(values: Iterable<number>, margin = 0): readonly [low: number, high: number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  if (high - low <= 1e-12 * Math.max(Math.abs(low), Math.abs(high))) {
    const half = Math.abs(low) / 2 || 0.5;
    return [low - half, low + half];
  }
  const more = (high - low) * margin;
  return [low - more, high + more];
}

function ticksOf(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = magnitude * ([1, 2, 5, 10].find((factor) => factor * magnitude >= rough * 0.999) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  // Adding 0 turns -0 into 0.
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * step + 0);
}
