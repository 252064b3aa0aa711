import type { OptimisationRecipe } from "../schema/index.ts";

/** What the metric that a training goes by was after `step` steps. */
export interface Evaluation {
  readonly step: number;
  readonly value: number;
}

/** The figure that checkpoints are compared by. */
export const metricOf = ({ early_stopping }: Pick<OptimisationRecipe, "early_stopping">): string =>
  early_stopping?.metric ?? "loss";

/** How much better `a` is than `b`: less is better of a loss, more of all else. What is not a number is worse than all. */
function gain(metric: string, a: number, b: number): number {
  const worth = (value: number) =>
    Number.isNaN(value) ? Number.NEGATIVE_INFINITY : metric === "loss" ? -value : value;
  const [x, y] = [worth(a), worth(b)];
  return x === y ? 0 : x - y;
}

/** The steps of the `count` best evaluations, the best first; of equal ones the earlier. */
export const bestSteps = (evaluations: readonly Evaluation[], metric: string, count: number): number[] =>
  [...evaluations]
    .sort((a, b) => gain(metric, b.value, a.value) || a.step - b.step)
    .slice(0, count)
    .map(({ step }) => step);

/** Whether the last `patience` evaluations were all not better by more than `min_delta` than the best before them. */
export function isStale(evaluations: readonly Evaluation[], stopping: OptimisationRecipe["early_stopping"]): boolean {
  if (stopping === undefined) return false;
  const { metric, patience, min_delta } = stopping;
  let best: number | undefined;
  let idle = 0;
  for (const { value } of evaluations) {
    const better = best === undefined || gain(metric, value, best) > min_delta;
    idle = better ? 0 : idle + 1;
    if (better) best = value;
  }
  return idle >= patience;
}
