import { mean } from "../mean.ts";
import { type Interval, quantile, type Resampling, resampledCounts } from "../resampling.ts";
import type { PairVerdict } from "./rating.ts";

/** The ratings of one question's answers, by turn; null where there is none. */
export type TurnRatings = readonly (number | null)[];

/** The mean of all ratings that there are, each turn by itself: FastChat's score. Null for none. */
export function mtBenchScore(ratings: readonly TurnRatings[]): number | null {
  const given = ratings.flat().filter((rating) => rating !== null);
  return given.length === 0 ? null : mean(given);
}

/** The same of one turn, counted from 0. */
export const turnScore = (ratings: readonly TurnRatings[], turn: number): number | null =>
  mtBenchScore(ratings.map((each) => [each[turn] ?? null]));

/**
 * Percentile bootstrap interval of a mean over values that come in groups: groups are drawn with replacement, since the turns of a question
 * hang together. FastChat gives none. Undefined for no value.
 */
export function groupedInterval(
  groups: readonly (readonly number[])[],
  { resamples, seed }: Resampling,
  level = 0.95,
): Interval | undefined {
  const filled = groups.filter((group) => group.length > 0);
  if (filled.length === 0) return undefined;
  const sums = filled.map((group) => group.reduce((sum, value) => sum + value, 0));
  const means = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample += 1) {
    let sum = 0;
    let count = 0;
    for (const [at, times] of resampledCounts(filled.length, resample, seed).entries()) {
      sum += times * sums[at]!;
      count += times * filled[at]!.length;
    }
    means[resample] = sum / count;
  }
  means.sort();
  return { low: quantile(means, (1 - level) / 2), high: quantile(means, (1 + level) / 2), level };
}

/** How a model fared against another in one turn of one question: 1 won, 0 lost, ½ tied. */
export type PairOutcome = 0 | 0.5 | 1;

/**
 * What two games come to for the model that is A in the first and B in the second, as FastChat counts them: won or lost where both say
 * so, else a tie; null where one has no verdict.
 */
export function pairOutcome(first: PairVerdict | null, second: PairVerdict | null): PairOutcome | null {
  if (first === null || second === null) return null;
  if (first === "A" && second === "B") return 1;
  return first === "B" && second === "A" ? 0 : 0.5;
}

export interface PairRates {
  /** FastChat's `win_rate`, `loss_rate`, and `win_rate_adjusted` with half of the ties. */
  readonly won: number;
  readonly lost: number;
  readonly adjusted: number;
}

/** The shares of games won and lost. Null for no games. */
export function pairRates(outcomes: readonly PairOutcome[]): PairRates | null {
  if (outcomes.length === 0) return null;
  const share = (outcome: PairOutcome) => outcomes.filter((each) => each === outcome).length / outcomes.length;
  return { won: share(1), lost: share(0), adjusted: share(1) + share(0.5) / 2 };
}
