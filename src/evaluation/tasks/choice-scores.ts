import type { Choice, Metric, Scores } from "./task.ts";

export const acc: Metric = { key: "acc,none", title: "acc", of: "mean" };
export const accNorm: Metric = { key: "acc_norm,none", title: "acc_norm", of: "mean" };

/** The place of the first highest value; NaN is higher than all, as numpy's `argmax` has it. */
export function argmax(values: readonly number[]): number {
  let best = 0;
  for (const [at, value] of values.entries()) {
    if (Number.isNaN(values[best])) break;
    if (Number.isNaN(value) || value > values[best]!) best = at;
  }
  return best;
}

/**
 * Whether the most probable choice is the right one: `acc` by log-likelihood, `acc_norm` by log-likelihood for each character (code point)
 * of the choice, without the delimiter before it.
 */
export function choiceScores(
  choices: readonly Choice[],
  gold: readonly number[],
  logLikelihoods: readonly number[],
): Scores {
  const normed = logLikelihoods.map((value, at) => value / [...choices[at]!.answer].length);
  const right = (values: readonly number[]) => Number(gold.includes(argmax(values)));
  return { [acc.key]: right(logLikelihoods), [accNorm.key]: right(normed) };
}
