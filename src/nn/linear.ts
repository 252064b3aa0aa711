import { accumulatedGradient, customFunction, type Tensor } from "../torch/index.ts";
import { addProduct, product } from "./product.ts";

/** A matrix [out, in] with the bias [out] that goes with it, and what its output [rows, out] is added to. */
export interface LinearLayer {
  readonly weight: Tensor;
  readonly bias?: Tensor | null;
  readonly residual?: Tensor | null;
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
 * x [rows, in] times the transpose of each weight [out, in], plus its bias and its residual -> [rows, out] for each. Layers of the same input are
 * given together: their gradients of it are summed as they are computed.
 */
export function linears(x: Tensor, layers: readonly LinearLayer[]): Tensor[] {
  const weights = layers.map(({ weight }) => weight);
  const biases = layers.map(({ bias }) => bias ?? null);
  const residuals = layers.map(({ residual }) => residual ?? null);
  const wanted = [x, ...weights, ...biases, ...residuals].map((input) => input?.requiresGrad === true);
  return customFunction({
    inputs: [x, ...weights, ...biases, ...residuals],
    forward: () => ({
      output: layers.map(({ weight, bias, residual }) => {
        const product_ = product(x, weight.t(), residual);
        return bias == null ? product_ : product_.add_(bias);
      }),
      saved: [x, ...weights],
    }),
    backward(grads, [xs, ...ws]) {
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
      return [
        gradOfX,
        ...each(1, (grad, layer) => weightGradient(weights[layer]!, grad.t(), xs!)),
        ...each(1 + layers.length, (grad) => grad.sum([0])),
        ...each(1 + 2 * layers.length, (grad) => grad),
      ];
    },
  });
}

/** x [rows, in] times weight^T, weight [out, in], plus bias [out] -> [rows, out]. */
export const linear = (x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor =>
  linears(x, [{ weight, bias }])[0]!;
