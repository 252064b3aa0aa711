import { accumulatedGradient, customFunction, ops, type Tensor } from "../torch/index.ts";

/**
 * Rows `ids` int64 [T] of weight [rows, hidden] -> [T, hidden]. Where the gradient would be added to the weight's `.grad`, only the
 * rows that were taken are touched.
 */
export function embedding(weight: Tensor, ids: Tensor): Tensor {
  const rows = weight.shape[0]!;
  return customFunction({
    inputs: [weight],
    forward: () => ({ output: ops.embedding(weight, ids), saved: [ids] }),
    backward([grad], [taken]) {
      const sum = accumulatedGradient(weight);
      if (sum?.dtype !== grad!.dtype) return [ops.embedding_dense_backward(grad!, taken!, rows, -1, false)];
      sum.index_add_(0, taken!, grad!);
      return [null];
    },
  });
}
