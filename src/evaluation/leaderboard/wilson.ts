import type { Interval } from "../resampling.ts";

/** Of the standard normal distribution: 95 % lie within so many standard deviations. */
const normal95 = 1.959963984540054;

/**
 * Wilson's score interval (1927) of the share `won / of`. Unlike a bootstrap's it has a width where all were won. A tie counts as half a
 * win, which makes it a little wider than it needs to be. Throws where there was nothing to win.
 */
export function wilson(won: number, of: number): Interval {
  if (!(of > 0 && won >= 0 && won <= of)) throw new Error(`${won} of ${of} is no share`);
  const share = won / of;
  const square = normal95 ** 2;
  const centre = (share + square / (2 * of)) / (1 + square / of);
  const half = (normal95 / (1 + square / of)) * Math.sqrt((share * (1 - share)) / of + square / (4 * of * of));
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half), level: 0.95 };
}
