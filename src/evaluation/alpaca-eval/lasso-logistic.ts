import { boundedInteger, mersenneTwister } from "../random/mersenne-twister.ts";

/** A labelled example: `weight` times its loss counts. */
export interface Example {
  readonly features: readonly number[];
  readonly positive: boolean;
  /** 0 leaves it out. */
  readonly weight: number;
}

const mostSteps = 100;
const mostPasses = 1000;
const mostHalvings = 20;
const tolerance = 1e-4;
const curvatureFloor = 1e-12;
const armijo = 0.01;
const longestMove = 10;

/**
 * Weights w [features] with a small |w|_1 + cost sum_i weight_i log(1 + exp(-y_i w · x_i)): logistic regression with an L1 penalty and no
 * intercept by newGLMNET (Yuan, Ho and Lin 2012), as liblinear under scikit-learn 1.5 runs it. AlpacaEval's figures rest on where that
 * stops, not on the optimum: its tolerance, its shrinking of weights that stay at 0, and its shuffles, drawn from `seed`.
 */
export function fitLasso(examples: readonly Example[], cost: number, seed: number): number[] {
  const next = mersenneTwister(seed);
  const used = examples.filter(({ weight }) => weight > 0);
  const ordered = [...used.filter(({ positive }) => !positive), ...used.filter(({ positive }) => positive)];
  const count = ordered.length;
  const rows = [...ordered.keys()];
  const negative = used.filter(({ positive }) => !positive).length;
  const size = ordered[0]?.features.length ?? 0;
  const columns = Array.from({ length: size }, (_, j) => Float64Array.from(ordered, ({ features }) => features[j]!));
  const penalty = Float64Array.from(ordered, ({ weight }) => weight * cost);
  const enough = (tolerance * Math.max(Math.min(negative, count - negative), 1)) / count;

  let weights = Array<number>(size).fill(0);
  let odds = new Float64Array(count).fill(1);
  const slopes = new Float64Array(count);
  const curvatures = new Float64Array(count);
  const setDerivatives = () => {
    for (const i of rows) {
      const share = 1 / (1 + odds[i]!);
      slopes[i] = penalty[i]! * share;
      curvatures[i] = penalty[i]! * odds[i]! * share * share;
    }
  };
  setDerivatives();
  const negativeSums = columns.map((column) => {
    let sum = 0;
    for (let i = 0; i < negative; i += 1) sum += penalty[i]! * column[i]!;
    return sum;
  });

  const index = Array.from({ length: size }, (_, j) => j);
  const swap = (a: number, b: number) => {
    [index[a], index[b]] = [index[b]!, index[a]!];
  };
  const gradient = Array<number>(size).fill(0);
  const curvature = Array<number>(size).fill(0);
  let firstViolation = -1;
  let largestBefore = Number.POSITIVE_INFINITY;
  let innerShare = 1;
  let idle = 0;

  for (let step = 0; step < mostSteps; step += 1) {
    let largest = 0;
    let violation = 0;
    let active = size;
    for (let s = 0; s < active; s += 1) {
      const j = index[s]!;
      const column = columns[j]!;
      let h = curvatureFloor;
      let g = 0;
      for (const i of rows) {
        h += column[i]! * column[i]! * curvatures[i]!;
        g += column[i]! * slopes[i]!;
      }
      curvature[j] = h;
      gradient[j] = negativeSums[j]! - g;
      const far = violationOf(weights[j]!, gradient[j]!, largestBefore / count);
      if (far === "settled") {
        active -= 1;
        swap(s, active);
        s -= 1;
        continue;
      }
      largest = Math.max(largest, far);
      violation += far;
    }
    if (step === 0) firstViolation = violation;
    if (violation <= enough * firstViolation || idle >= 10) break;
    idle += 1;

    const quadratic = descend(active);
    idle = quadratic.moved ? 0 : idle;
    lineSearch(quadratic.proposal, quadratic.change);
    if (quadratic.passes === 1) innerShare *= 0.25;
    largestBefore = largest;
  }
  return weights;

  /** Coordinate descent on the quadratic model around the weights, over the first `active` of the index. */
  function descend(active: number) {
    const proposal = [...weights];
    const change = new Float64Array(count);
    let remaining = active;
    let largestHere = Number.POSITIVE_INFINITY;
    let moved = false;
    let passes = 0;
    while (passes < mostPasses) {
      let largest = 0;
      let violation = 0;
      for (let s = 0; s < remaining; s += 1) swap(s, s + boundedInteger(next, remaining - s));
      for (let s = 0; s < remaining; s += 1) {
        const j = index[s]!;
        const column = columns[j]!;
        const h = curvature[j]!;
        let g = gradient[j]! + (proposal[j]! - weights[j]!) * curvatureFloor;
        for (const i of rows) g += column[i]! * curvatures[i]! * change[i]!;
        const far = violationOf(proposal[j]!, g, largestHere / count);
        if (far === "settled") {
          remaining -= 1;
          swap(s, remaining);
          s -= 1;
          continue;
        }
        const move = softStep(proposal[j]!, g, h);
        if (Math.abs(move) < 1e-12) continue;
        const bounded = Math.min(Math.max(move, -longestMove), longestMove);
        moved = true;
        largest = Math.max(largest, far);
        violation += far;
        proposal[j]! += bounded;
        for (const i of rows) change[i]! += column[i]! * bounded;
      }
      passes += 1;
      if (violation <= innerShare * firstViolation) {
        if (remaining === active) break;
        remaining = active;
        largestHere = Number.POSITIVE_INFINITY;
      } else largestHere = largest;
    }
    return { proposal, change, moved, passes };
  }

  /** Moves the weights towards the proposal as far as the loss falls enough, halving the way. */
  function lineSearch(proposal: number[], change: Float64Array): void {
    const norm = absoluteSum(weights);
    let proposedNorm = absoluteSum(proposal);
    let slope = gradient.reduce((sum, g, j) => sum + g * (proposal[j]! - weights[j]!), 0) + (proposedNorm - norm);
    let negatives = 0;
    for (let i = 0; i < negative; i += 1) negatives += penalty[i]! * change[i]!;
    const proposedOdds = new Float64Array(count);
    for (let halving = 0; halving < mostHalvings; halving += 1) {
      let excess = proposedNorm - norm + negatives - armijo * slope;
      for (const i of rows) {
        const factor = Math.exp(change[i]!);
        proposedOdds[i] = odds[i]! * factor;
        excess += penalty[i]! * Math.log((1 + proposedOdds[i]!) / (factor + proposedOdds[i]!));
      }
      if (excess <= 0) {
        weights = proposal;
        odds = proposedOdds;
        setDerivatives();
        return;
      }
      for (const j of proposal.keys()) proposal[j] = (weights[j]! + proposal[j]!) * 0.5;
      proposedNorm = absoluteSum(proposal);
      slope *= 0.5;
      negatives *= 0.5;
      for (const i of rows) change[i]! *= 0.5;
    }
  }
}

/** How far a weight is from where the penalised loss is least along it; settled: at 0, and it will stay there. */
function violationOf(weight: number, gradient: number, margin: number): number | "settled" {
  const [up, down] = [gradient + 1, gradient - 1];
  if (weight > 0) return Math.abs(up);
  if (weight < 0) return Math.abs(down);
  if (up < 0) return -up;
  if (down > 0) return down;
  return up > margin && down < -margin ? "settled" : 0;
}

/** The way to the least of g z + h z² / 2 + |weight + z|. */
function softStep(weight: number, g: number, h: number): number {
  if (g + 1 < h * weight) return -(g + 1) / h;
  if (g - 1 > h * weight) return -(g - 1) / h;
  return -weight;
}

const absoluteSum = (values: readonly number[]): number => values.reduce((sum, value) => sum + Math.abs(value), 0);
