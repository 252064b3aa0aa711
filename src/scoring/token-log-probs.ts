import type { Tensor } from "../torch/index.ts";
import { customFunction, ops, scope } from "../torch/index.ts";

/** Logits computed at a time: enough rows for a fast matrix product, few enough to stay small. */
const logitsAtATime = 1 << 25;

/**
 * log p(target | its prefix) for each row: hidden [S, hidden], matrix [vocabulary, hidden], targets int64 [S] ->
 * float32 [S] (float64 for float64 input).
 *
 * The matrix of logits [S, vocabulary] never exists: it is computed in chunks of `size` rows, and again in the backward.
 */
export function tokenLogProbs(
  hidden: Tensor,
  matrix: Tensor,
  targets: Tensor,
  size: number = Math.max(64, Math.floor(logitsAtATime / matrix.shape[0]!)),
): Tensor {
  const rows = hidden.shape[0]!;
  const wide = hidden.dtype === "float64" ? "float64" : "float32";
  const chunks = <T>(body: (take: (x: Tensor) => Tensor) => T): T[] => {
    const results: T[] = [];
    for (let from = 0; from < rows; from += size) {
      const count = Math.min(size, rows - from);
      results.push(scope(() => body((x) => x.narrow(0, from, count))));
    }
    return results;
  };
  return customFunction({
    inputs: [hidden, matrix],
    forward() {
      const parts = chunks((take) => {
        const logProbs = ops.linear(take(hidden), matrix).log_softmax(-1, wide);
        return logProbs.gather(-1, take(targets).unsqueeze(-1)).squeeze(-1);
      });
      return { output: ops.cat(parts), saved: [hidden, matrix, targets] };
    },
    backward([grad], [h, w, t]) {
      const gradMatrix = ops.zeros_like(w!, { dtype: wide });
      const parts = chunks((take) => {
        const scale = take(grad!).unsqueeze(-1);
        // d log p(t) / d logits = [t] - softmax
        const gradLogits = ops.linear(take(h!), w!).softmax(-1, wide).mul_(scale.neg());
        gradLogits.scatter_add_(-1, take(t!).unsqueeze(-1), scale);
        const narrow = gradLogits.to(h!.dtype);
        if (h!.dtype === wide) gradMatrix.addmm_(narrow.t(), take(h!));
        else gradMatrix.add_(narrow.t().mm(take(h!)));
        return narrow.mm(w!);
      });
      return [ops.cat(parts), gradMatrix.to(w!.dtype)];
    },
  });
}
