import type { OptimisationRecipe } from "../schema/index.ts";
import type { StepMetrics } from "./metrics.ts";

/** Figures of the evaluations of a training, in their order. */
type Evaluations = readonly StepMetrics[];

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

/** What a metric was after each evaluation that a step came before. */
const valuesOf = (evaluations: Evaluations, metric: string) =>
  evaluations
    .filter(({ step }) => step > 0)
    .map((figures) => ({ step: figures.step, value: figures[`eval/${metric}`] ?? Number.NaN }));

/** The steps of the `count` best evaluations, the best first; of equal ones the earlier. What was before any step is none. */
export const bestSteps = (evaluations: Evaluations, metric: string, count: number): number[] =>
  valuesOf(evaluations, metric)
    .sort((a, b) => gain(metric, b.value, a.value) || a.step - b.step)
    .slice(0, count)
    .map(({ step }) => step);

/** Whether the last `patience` evaluations were all not better by more than `min_delta` than the best before them. */
export function isStale(evaluations: Evaluations, stopping: OptimisationRecipe["early_stopping"]): boolean {
  if (stopping === undefined) return false;
  const { metric, patience, min_delta } = stopping;
  let best: number | undefined;
  let idle = 0;
  for (const { value } of valuesOf(evaluations, metric)) {
    const better = best === undefined || gain(metric, value, best) > min_delta;
    idle = better ? 0 : idle + 1;
    if (better) best = value;
  }
  return idle >= patience;
}

/** Responses are told to grow where they have this many times the tokens that they had before the first step. */
const tolerated = 1.5;

/** What is to be said where the latest evaluation's responses have become so long, and those of the one before had not. */
export function lengthGrowth(evaluations: Evaluations): string | undefined {
  const name = "eval/response_tokens";
  const [first] = evaluations;
  const [before, now] = evaluations.slice(-2);
  const base = first?.[name];
  if (base === undefined || now?.[name] === undefined || before?.[name] === undefined) return undefined;
  if (now[name] <= tolerated * base || before[name] > tolerated * base) return undefined;
  return `responses grow: ${now[name].toFixed(0)} tokens on average after step ${now.step}, ${base.toFixed(0)} after step ${first!.step}`;
}
