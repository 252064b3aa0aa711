import { strongWolfeStep } from "./line-search.ts";

/** A function with its gradient at a point. */
export type Slope = (at: Float64Array) => { readonly value: number; readonly gradient: Float64Array };

export interface LbfgsOptions {
  /** It ends where no part of the gradient is larger. */
  readonly gradientTolerance: number;
  readonly mostSteps: number;
}

/** How many steps back the curvature is known from. */
const memory = 10;
const epsilon = Number.EPSILON;
/** It ends where a step lessens the value by no more than this share of it. */
const leastFall = 64 * epsilon;

/**
 * Where the function is least, from 0 on, by the method of Byrd, Lu, Nocedal and Zhu (1995) without bounds: step by step as scipy's L-BFGS-B under
 * scikit-learn's settings, so that it ends where those end, short of the least by what the tolerance allows.
 */
export function minimiseLbfgs(
  slope: Slope,
  size: number,
  { gradientTolerance, mostSteps }: LbfgsOptions,
): Float64Array {
  let at = new Float64Array(size);
  let { value, gradient } = slope(at);
  let pairs: Pair[] = [];
  for (let step = 0; step < mostSteps && largest(gradient) > gradientTolerance; step += 1) {
    let direction = directionOf(gradient, pairs);
    if (dot(direction, gradient) >= 0) {
      pairs = [];
      direction = directionOf(gradient, pairs);
    }
    const before = { at, value, gradient };
    const along = (length: number) => {
      const there = before.at.map((x, i) => x + length * direction[i]!);
      const { value, gradient } = slope(there);
      return { there, value, gradient, descent: dot(gradient, direction) };
    };
    const start = { value, descent: dot(gradient, direction) };
    const found = strongWolfeStep(
      along,
      start,
      step === 0 ? Math.min(1 / Math.sqrt(dot(direction, direction)), 1e10) : 1,
    );
    if (found === undefined) {
      // The curvature that is remembered misleads: it is forgotten once.
      if (pairs.length === 0) return at;
      pairs = [];
      continue;
    }
    at = found.there;
    value = found.value;
    gradient = found.gradient;
    if (largest(gradient) <= gradientTolerance) return at;
    if (before.value - value <= leastFall * Math.max(Math.abs(before.value), Math.abs(value), 1)) return at;
    const moved = direction.map((x) => found.length * x);
    const turned = gradient.map((x, i) => x - before.gradient[i]!);
    const curvature = (found.descent - start.descent) * found.length;
    if (curvature > epsilon * -start.descent * found.length)
      pairs = [...pairs.slice(1 - memory), { moved, turned, curvature }];
  }
  return at;
}

/** A step, how it turned the gradient, and their product. */
interface Pair {
  readonly moved: Float64Array;
  readonly turned: Float64Array;
  readonly curvature: number;
}

/** Where the quadratic that fits the remembered steps is least. */
function directionOf(gradient: Float64Array, pairs: readonly Pair[]): Float64Array {
  const direction = gradient.map((x) => -x);
  const last = pairs.at(-1);
  if (last === undefined) return direction;
  const shares = pairs.map(() => 0);
  for (const [k, { moved, turned, curvature }] of [...pairs.entries()].reverse()) {
    shares[k] = dot(moved, direction) / curvature;
    addTo(direction, turned, -shares[k]!);
  }
  const scale = last.curvature / dot(last.turned, last.turned);
  for (const [i, x] of direction.entries()) direction[i] = scale * x;
  for (const [k, { moved, turned, curvature }] of pairs.entries())
    addTo(direction, moved, shares[k]! - dot(turned, direction) / curvature);
  return direction;
}

function addTo(sum: Float64Array, added: Float64Array, times: number): void {
  for (let i = 0; i < sum.length; i += 1) sum[i]! += times * added[i]!;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
}

const largest = (values: Float64Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
