import { philox } from "../schema/index.ts";
import { exactMeanInterval, exactSignTest } from "./exact.ts";
import { meanOfSum, rounding } from "./mean.ts";

/** How an interval or p-value is drawn; the same numbers give the same result on every machine. */
export interface Resampling {
  readonly resamples: number;
  readonly seed: number;
  /** Where many means of as many values are resampled: the same draws, made once. */
  readonly draws?: Draws;
}

/** Which values each resample draws, resample after resample; undefined where they are too many to be kept. */
export type Draws = (size: number) => Uint32Array | undefined;

/** Where the random words are used: no two purposes share a word. */
const streams = { bootstrap: 1, signFlip: 2, counts: 3 } as const;

export interface Interval {
  readonly low: number;
  readonly high: number;
  /** Nominal coverage: 0.95. */
  readonly level: number;
}

/**
 * Percentile bootstrap interval of the mean (Efron & Tibshirani 1993, section 13.3): the quantiles (1 ± level)/2 of the
 * means of resamples drawn with replacement, interpolated linearly as numpy.percentile does; of the exact distribution, without a draw,
 * where the values are two or three at equal distances. With few values it is narrower than it says: about 90 % in place of 95 % at ten
 * values. Throws for no values.
 */
export function bootstrapMean(values: readonly number[], resampling: Resampling, level = 0.95): Interval {
  if (values.length === 0) throw new Error("the mean of no values has no interval");
  const exact = exactMeanInterval(values, level);
  if (exact !== null) return exact;
  const { resamples, seed, draws } = resampling;
  const data = Float64Array.from(values);
  const kept = draws?.(data.length);
  const own = kept ?? new Uint32Array(data.length);
  const means = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample += 1) {
    const from = kept === undefined ? 0 : resample * data.length;
    if (kept === undefined) draw(own, 0, data.length, resample, seed);
    let sum = 0;
    let size = 0;
    for (let drawn = from; drawn < from + data.length; drawn += 1) {
      const value = data[own[drawn]!]!;
      sum += value;
      size += Math.abs(value);
    }
    means[resample] = meanOfSum(sum, size, data.length);
  }
  means.sort();
  return { low: quantile(means, (1 - level) / 2), high: quantile(means, (1 + level) / 2), level };
}

/** Writes which of `size` values one resample draws into `places`, from `at` on. */
function draw(places: Uint32Array, at: number, size: number, resample: number, seed: number): void {
  const words = new Uint32Array(4);
  const key = [seed | 0, 0];
  for (let drawn = 0; drawn < size; drawn += 1) {
    if (drawn % 4 === 0) philox([drawn / 4, resample, streams.bootstrap, 0], key, words);
    // Bias of the scaled word: below size / 2^32.
    places[at + drawn] = Math.floor((words[drawn % 4]! / 2 ** 32) * size);
  }
}

/** 64 MiB of them. */
const mostKept = 2 ** 24;

/** Draws that are kept for the sizes asked for, as far as they have room. */
export function keptDraws({ resamples, seed }: Resampling): Draws {
  const kept = new Map<number, Uint32Array>();
  return (size) => {
    const known = kept.get(size);
    if (known !== undefined) return known;
    const count = size * resamples;
    if (count > mostKept) return undefined;
    const all = [...kept.values()].reduce((sum, { length }) => sum + length, 0);
    if (all + count > mostKept) kept.clear();
    const places = new Uint32Array(count);
    for (let resample = 0; resample < resamples; resample += 1) draw(places, resample * size, size, resample, seed);
    kept.set(size, places);
    return places;
  };
}

/** How often each of `size` things is drawn when as many are drawn with replacement: one resample of a bootstrap. */
export function resampledCounts(size: number, resample: number, seed: number): Uint32Array {
  const counts = new Uint32Array(size);
  const words = new Uint32Array(4);
  const key = [seed | 0, 0];
  for (let drawn = 0; drawn < size; drawn += 1) {
    if (drawn % 4 === 0) philox([drawn / 4, resample, streams.counts, 0], key, words);
    counts[Math.floor((words[drawn % 4]! / 2 ** 32) * size)]! += 1;
  }
  return counts;
}

/** The value below which this share of sorted values lies, interpolated linearly as numpy.percentile does. */
export function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (position - below);
}

/** Up to 2^16 sign patterns are all tried. */
const exactUpTo = 16;

/**
 * Two-sided p-value of the sign-flip permutation test that paired differences are symmetric about 0: the share of sign
 * patterns whose sum is at least as far from 0 as the one seen. Exact for up to 16 differences that are not 0, and for any number of the
 * same size; otherwise by random patterns, the one seen counted among them, so that it is never 0.
 */
export function signFlipTest(differences: readonly number[], { resamples, seed }: Resampling): number {
  const moved = differences.filter((difference) => difference !== 0);
  const seen = Math.abs(moved.reduce((sum, difference) => sum + difference, 0));
  // Sums that are equal on paper differ in the last bits.
  const asFar = seen - rounding * moved.reduce((sum, difference) => sum + Math.abs(difference), 0);
  if (moved.length <= exactUpTo) {
    const sums = allSignedSums(moved);
    return sums.filter((sum) => Math.abs(sum) >= asFar).length / sums.length;
  }
  const size = Math.abs(moved[0]!);
  if (moved.every((difference) => Math.abs(Math.abs(difference) - size) <= 1e-9 * size))
    return exactSignTest(moved.filter((difference) => difference > 0).length, moved.length);
  const sums = signedSumsOfEights(moved);
  let extreme = 1;
  const words = new Uint32Array(4);
  const key = [seed | 0, 0];
  for (let resample = 0; resample < resamples; resample += 1) {
    let sum = 0;
    for (let eight = 0; eight * 256 < sums.length; eight += 1) {
      if (eight % 16 === 0) philox([eight / 16, resample, streams.signFlip, 0], key, words);
      const signs = (words[(eight % 16) >> 2]! >>> (8 * (eight % 4))) & 255;
      sum += sums[256 * eight + signs]!;
    }
    if (Math.abs(sum) >= asFar) extreme += 1;
  }
  return extreme / (resamples + 1);
}

/** For every eight differences the sums under each of the 256 sign patterns, of which bit i is the sign of the i-th. */
function signedSumsOfEights(differences: readonly number[]): Float64Array {
  const eights = Math.ceil(differences.length / 8);
  const sums = new Float64Array(256 * eights);
  for (let eight = 0; eight < eights; eight += 1) {
    const own = differences.slice(8 * eight, 8 * eight + 8);
    for (let signs = 0; signs < 256; signs += 1)
      sums[256 * eight + signs] = own.reduce((sum, each, i) => ((signs >> i) & 1 ? sum + each : sum - each), 0);
  }
  return sums;
}

function allSignedSums(differences: readonly number[]): number[] {
  let sums = [0];
  for (const difference of differences) sums = sums.flatMap((sum) => [sum + difference, sum - difference]);
  return sums;
}
