/** Values that lie at equal distances, as those of wins, ties and losses do: `base + gap * step`, each `step` a small whole number. */
interface Ladder {
  readonly base: number;
  readonly gap: number;
  /** The step of the lowest value. */
  readonly lowest: number;
  /** How many values stand on each step from the lowest on; two or three steps. */
  readonly counts: readonly number[];
}

/** Values closer than this share of their range are the same. */
const sameValue = 1e-9;
/** Sums rarer than this change no quantile. */
const negligible = 1e-30;

/**
 * The interval that `bootstrapMean` tends to with ever more resamples, from the exact distribution of the mean of a resample; null where
 * the values are not two or three at equal distances (outcomes, answers right and wrong, differences of those).
 */
export function exactMeanInterval(values: readonly number[], level: number) {
  const ladder = ladderOf(values);
  if (ladder === null) return null;
  const { base, gap, lowest, counts } = ladder;
  const { offset, shares } = power(
    counts.map((count) => count / values.length),
    values.length,
  );
  const tail = ((1 - level) / 2) * (1 - 1e-9);
  let low = 0;
  for (let below = shares[0]!; below < tail; below += shares[low]!) low += 1;
  let high = shares.length - 1;
  for (let above = shares[high]!; above < tail; above += shares[high]!) high -= 1;
  const meanAt = (place: number) => base + (gap * (offset + place + lowest * values.length)) / values.length;
  return { low: meanAt(low), high: meanAt(high), level };
}

function ladderOf(values: readonly number[]): Ladder | null {
  const found: { value: number; count: number }[] = [];
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const near = sameValue * (high - low);
  for (const value of values) {
    const known = found.find((other) => Math.abs(other.value - value) <= near);
    if (known !== undefined) known.count += 1;
    else if (found.length === 3) return null;
    else found.push({ value, count: 1 });
  }
  if (found.length < 2) return null;
  found.sort((a, b) => a.value - b.value);
  const gap = (high - low) / (found.length - 1);
  if (found.length === 3 && Math.abs(found[1]!.value - low - gap) > 2 * near) return null;
  // The value nearest to 0 stands for itself: sums of outcomes then mirror to the last bit.
  const nearest = found.reduce(
    (best, each, step) => (Math.abs(each.value) < Math.abs(found[best]!.value) ? step : best),
    0,
  );
  return { base: found[nearest]!.value, gap, lowest: -nearest, counts: found.map(({ count }) => count) };
}

interface Sums {
  /** Of the first share. */
  readonly offset: number;
  readonly shares: Float64Array;
}

/** The distribution of the sum of `count` draws from 0, 1, ... with these shares. */
function power(shares: readonly number[], count: number): Sums {
  let result: Sums = { offset: 0, shares: Float64Array.of(1) };
  let square: Sums = { offset: 0, shares: Float64Array.from(shares) };
  for (let left = count; ; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = convolved(result, square);
    if (left <= 1) return result;
    square = convolved(square, square);
  }
}

function convolved(a: Sums, b: Sums): Sums {
  const shares = new Float64Array(a.shares.length + b.shares.length - 1);
  for (let i = 0; i < a.shares.length; i += 1) {
    const share = a.shares[i]!;
    for (let j = 0; j < b.shares.length; j += 1) shares[i + j]! += share * b.shares[j]!;
  }
  let [from, to] = [0, shares.length];
  while (to - from > 1 && shares[from]! < negligible) from += 1;
  while (to - from > 1 && shares[to - 1]! < negligible) to -= 1;
  return { offset: a.offset + b.offset + from, shares: shares.subarray(from, to) };
}

/**
 * Two-sided p-value of the sign-flip test over `count` differences of the same size, of which `positive` are positive, over all sign
 * patterns: the sign test's, and McNemar's exact one where the differences are those of right and wrong answers.
 */
export function exactSignTest(positive: number, count: number): number {
  const fewer = Math.min(positive, count - positive);
  if (2 * fewer === count) return 1;
  let logShare = -count * Math.LN2;
  let tail = Math.exp(logShare);
  for (let k = 1; k <= fewer; k += 1) {
    logShare += Math.log((count - k + 1) / k);
    tail += Math.exp(logShare);
  }
  return Math.min(1, 2 * tail);
}
