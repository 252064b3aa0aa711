import type { Scale } from "./scale.ts";

/** Share of the probability that the ratings must have together: below it the judge did not rate, it said something else. */
export const leastMass = 0.01;

export type ExpectedRating =
  | {
      /** Expected rating, mapped linearly from the scale to 0..1. */
      readonly value: number;
      /** Probability that the answer is a rating at all. */
      readonly mass: number;
    }
  | { readonly failure: string };

/**
 * Sum of rating * p(rating) / sum of p(rating), mapped linearly to 0..1. `probabilities` are those of the scale's
 * ratings, from the lowest on. A failure, never a default, where the ratings have less than 1 % of the probability
 * together, and where the figures are no probabilities.
 */
export function expectedRating(probabilities: readonly number[], scale: Scale): ExpectedRating {
  const [lowest, highest] = scale;
  const mass = probabilities.reduce((sum, p) => sum + p, 0);
  if (!Number.isFinite(mass) || mass > 1.001 || probabilities.some((p) => p < 0))
    return { failure: `the probabilities of the ratings are not probabilities: they add up to ${mass}` };
  if (mass < leastMass)
    return {
      failure: `only ${percent(mass)} of the judge's probability is on the ratings ${lowest} to ${highest}, at least ${percent(leastMass)} is wanted`,
    };
  const steps = probabilities.reduce((sum, p, step) => sum + step * p, 0) / mass;
  return { value: Math.min(1, steps / (highest - lowest)), mass: Math.min(1, mass) };
}

export const percent = (share: number): string => `${Number((100 * share).toPrecision(2))} %`;
