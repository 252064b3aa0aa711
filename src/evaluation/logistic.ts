import { logSigmoid, sigmoid } from "./sigmoid.ts";
import { solveSymmetric } from "./solve.ts";

/** One comparison: what the winner has more of each feature than the loser, and how much the comparison counts. */
export interface Contrast {
  readonly difference: readonly number[];
  readonly weight: number;
}

export interface LogisticOptions {
  /** Half of this times the sum of the squared weights is added to the loss; above 0, so that a separable sample has a finite fit. */
  readonly ridge: number;
  /** Whether no weight may be below 0. */
  readonly nonNegative?: boolean;
}

const mostSteps = 200;

/**
 * The weights w that make the winners' winning most probable, P = sigmoid(w · difference): logistic regression without intercept,
 * the model of Bradley and Terry (1952) with features. The least of sum_i weight_i log(1 + exp(-w · d_i)) + ridge / 2 |w|², by
 * Newton's method with halved steps, projected on w >= 0 where that is asked for; the loss is convex, and with a ridge the
 * least is one point.
 */
export function fitLogistic(contrasts: readonly Contrast[], { ridge, nonNegative = false }: LogisticOptions): number[] {
  const size = contrasts[0]?.difference.length ?? 0;
  const total = contrasts.reduce((sum, { weight }) => sum + weight, 0);
  let weights = Array<number>(size).fill(0);
  for (let step = 0; step < mostSteps; step += 1) {
    const { gradient, hessian } = derivatives(contrasts, weights, ridge);
    const free = weights.flatMap((w, j) => (nonNegative && w <= 0 && gradient[j]! >= 0 ? [] : [j]));
    if (free.every((j) => Math.abs(gradient[j]!) <= 1e-11 * (1 + total))) return weights;
    const moved = solveSymmetric(
      free.map((j) => free.map((k) => hessian[j]![k]!)),
      free.map((j) => -gradient[j]!),
    );
    const direction = Array<number>(size).fill(0);
    for (const [at, j] of free.entries()) direction[j] = moved[at]!;
    const before = lossOf(contrasts, weights, ridge);
    let next = weights;
    for (let share = 1; share > 1e-12; share /= 2) {
      next = weights.map((w, j) => {
        const to = w + share * direction[j]!;
        return nonNegative ? Math.max(0, to) : to;
      });
      const slope = gradient.reduce((sum, g, j) => sum + g * (next[j]! - weights[j]!), 0);
      if (lossOf(contrasts, next, ridge) <= before + 1e-4 * slope) break;
      next = weights;
    }
    // No step makes it less but for rounding: this is the least.
    if (next.every((w, j) => w === weights[j])) return weights;
    weights = next;
  }
  return weights;
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, at) => sum + x * b[at]!, 0);

const lossOf = (contrasts: readonly Contrast[], weights: readonly number[], ridge: number): number =>
  contrasts.reduce((sum, { difference, weight }) => sum - weight * logSigmoid(dot(difference, weights)), 0) +
  (ridge / 2) * dot(weights, weights);

function derivatives(contrasts: readonly Contrast[], weights: readonly number[], ridge: number) {
  const gradient = weights.map((w) => ridge * w);
  const hessian = weights.map((_, j) => weights.map((_, k) => (j === k ? ridge : 0)));
  for (const { difference, weight } of contrasts) {
    const lost = sigmoid(-dot(difference, weights));
    const curvature = weight * lost * (1 - lost);
    for (const [j, dj] of difference.entries()) {
      gradient[j]! -= weight * lost * dj;
      for (let k = 0; k <= j; k += 1) {
        hessian[j]![k]! += curvature * dj * difference[k]!;
        if (k < j) hessian[k]![j] = hessian[j]![k]!;
      }
    }
  }
  return { gradient, hessian };
}
