import { accumulatedGradient, customFunction, type Tensor } from "../torch/index.ts";
import { addProduct, product } from "./product.ts";

/** scale B A, of low rank: a [rank, in], b [out, rank]. */
export interface LowRank {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly scale: number;
  /** The weight with it added, where that was computed: one product does for both. No gradient flows to it, nor to the weight. */
  readonly sum?: Tensor | null;
}

/**
 * A matrix [out, in] with the bias [out] that goes with it, what its output [rows, out] is added to, and a matrix of low rank that is
 * added to it.
 */
export interface LinearLayer {
  readonly weight: Tensor;
  readonly bias?: Tensor | null;
  readonly residual?: Tensor | null;
  readonly lowRank?: LowRank | null;
}

/**
 * The gradient of a weight, a [m, k] times b [k, n]. Where it would be added to the weight's `.grad`, that is done while it is computed,
 * and null is what the backward returns.
 */
export function weightGradient(weight: Tensor, a: Tensor, b: Tensor): Tensor | null {
  const sum = accumulatedGradient(weight);
  if (sum?.dtype !== a.dtype) return product(a, b);
  addProduct(sum, a, b);
  return null;
}

/**
 * x [rows, in] times the transpose of each weight [out, in], plus its bias, its residual and its product of low rank -> [rows, out] for each.
 * Layers of the same input are given together: their gradients of it are summed as they are computed.
 */
export function linears(x: Tensor, layers: readonly LinearLayer[]): Tensor[] {
  const weights = layers.map(({ weight }) => weight);
  /** What x is multiplied with. */
  const factors = layers.map(({ weight, lowRank }) => lowRank?.sum ?? weight);
  const biases = layers.map(({ bias }) => bias ?? null);
  const residuals = layers.map(({ residual }) => residual ?? null);
  const low = layers.flatMap(({ lowRank }, layer) => (lowRank == null ? [] : [{ layer, ...lowRank }]));
  const [as, bs] = [low.map(({ a }) => a), low.map(({ b }) => b)];
  const inputs = [x, ...weights, ...biases, ...residuals, ...as, ...bs];
  const wanted = inputs.map((input) => input?.requiresGrad === true);
  return customFunction({
    inputs,
    forward() {
      const output = layers.map(({ bias, residual }, layer) => {
        const product_ = product(x, factors[layer]!.t(), residual);
        return bias == null ? product_ : product_.add_(bias);
      });
      const narrow = low.flatMap(({ layer, a, b, scale, sum }) => {
        if (sum != null) return [];
        const scaled = product(x, a.t()).mul_(scale);
        addProduct(output[layer]!, scaled, b.t());
        return [scaled];
      });
      return { output, saved: [x, ...factors, ...as, ...bs, ...narrow] };
    },
    backward(grads, [xs, ...saved]) {
      const take = (count: number) => saved.splice(0, count);
      const [ws, as_, bs_] = [take(layers.length), take(low.length), take(low.length)];
      // Gradients of sums come as one number seen everywhere, which not every library takes.
      const dense = grads.map((grad) => grad?.contiguous() ?? null);
      const each = (first: number, gradient: (grad: Tensor, layer: number) => Tensor | null) =>
        dense.map((grad, layer) => (grad !== null && wanted[first + layer] ? gradient(grad, layer) : null));
      let gradOfX: Tensor | null = null;
      for (const [layer, grad] of dense.entries()) {
        if (grad === null || !wanted[0]) continue;
        if (gradOfX === null) gradOfX = product(grad, ws[layer]!);
        else addProduct(gradOfX, grad, ws[layer]!);
      }
      const [firstA, firstB] = [1 + 3 * layers.length, 1 + 3 * layers.length + low.length];
      const ofLow = low.map(({ layer, a, b, scale, sum }, k) => {
        const grad = dense[layer];
        const kept = sum == null ? saved.shift()! : null;
        if (grad == null) return [null, null];
        const gradOfNarrow = product(grad, bs_[k]!).mul_(scale);
        if (gradOfX !== null && sum == null) addProduct(gradOfX, gradOfNarrow, as_[k]!);
        const narrow = kept ?? product(xs!, as_[k]!.t()).mul_(scale);
        return [
          wanted[firstA + k] ? weightGradient(a, gradOfNarrow.t(), xs!) : null,
          wanted[firstB + k] ? weightGradient(b, grad.t(), narrow) : null,
        ];
      });
      return [
        gradOfX,
        ...each(1, (grad, layer) => weightGradient(weights[layer]!, grad.t(), xs!)),
        ...each(1 + layers.length, (grad) => grad.sum([0])),
        ...each(1 + 2 * layers.length, (grad) => grad),
        ...ofLow.map(([ofA]) => ofA!),
        ...ofLow.map(([, ofB]) => ofB!),
      ];
    },
  });
}

/** x [rows, in] times weight^T, weight [out, in], plus bias [out] -> [rows, out]. */
export const linear = (x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor =>
  linears(x, [{ weight, bias }])[0]!;
