import { softcap } from "../models/index.ts";
import { addProduct, linear, product, weightGradient } from "../nn/index.ts";
import type { Tensor } from "../torch/index.ts";
import { bytesOf, customFunction, ops, scope } from "../torch/index.ts";

/** Logits computed at a time: enough rows for a fast matrix product, few enough to stay small. */
const logitsAtATime = 1 << 25;
/** Logits that are kept for the backward where they take no more than this; else they are computed again there. */
const keptBytes = 512 << 20;

export interface LogProbOptions {
  /** Logits l become cap · tanh(l / cap). */
  readonly cap?: number | null;
  /** Rows whose logits are computed at a time. */
  readonly size?: number;
  /** Most bytes of logits that are kept for the backward. */
  readonly keptBytes?: number;
}

/**
 * log p(target | its prefix) for each row: hidden [S, hidden], matrix [vocabulary, hidden], targets int64 [S] ->
 * float32 [S] (float64 for float64 input).
 *
 * Logits are computed in chunks of rows. Those of a small batch are kept for the backward; of a large one they are computed again
 * there, and the whole matrix [S, vocabulary] never exists.
 */
export const tokenLogProbs = (hidden: Tensor, matrix: Tensor, targets: Tensor, options: LogProbOptions = {}): Tensor =>
  chosenAndCollisions(hidden, matrix, targets, options, false)[0]!;

/** `tokenLogProbs`, and for each row log sum_v p(v)^2 over the vocabulary: float32 [S], without a gradient. */
export function tokenAlignments(
  hidden: Tensor,
  matrix: Tensor,
  targets: Tensor,
  options: LogProbOptions = {},
): { logProbs: Tensor; collisions: Tensor } {
  const [logProbs, collisions] = chosenAndCollisions(hidden, matrix, targets, options, true);
  return { logProbs: logProbs!, collisions: collisions!.detach() };
}

function chosenAndCollisions(
  hidden: Tensor,
  matrix: Tensor,
  targets: Tensor,
  options: LogProbOptions,
  collisions: boolean,
): readonly Tensor[] {
  const [rows, vocabulary] = [hidden.shape[0]!, matrix.shape[0]!];
  const size = options.size ?? Math.max(64, Math.floor(logitsAtATime / vocabulary));
  const cap = options.cap ?? null;
  const logitsOf = (x: Tensor, w: Tensor) => softcap(linear(x, w), cap);
  const wide = hidden.dtype === "float64" ? "float64" : "float32";
  const recorded = hidden.requiresGrad || matrix.requiresGrad;
  const trainsMatrix = matrix.requiresGrad;
  const keep = recorded && rows * vocabulary * bytesOf(hidden.dtype) <= (options.keptBytes ?? keptBytes);
  const chunks = <T>(body: (take: (x: Tensor) => Tensor, chunk: number) => T): T[] =>
    Array.from({ length: Math.ceil(rows / size) }, (_, chunk) => {
      const from = chunk * size;
      return scope(() => body((x) => x.narrow(0, from, Math.min(size, rows - from)), chunk));
    });
  // The sum of the matrix's gradients; null as long as they go to its own `.grad`.
  const withProduct = (sum: Tensor | null, a: Tensor, b: Tensor): Tensor | null => {
    if (sum === null) return weightGradient(matrix, a, b)?.to(wide) ?? null;
    if (sum.dtype === a.dtype) addProduct(sum, a, b);
    else sum.add_(product(a, b));
    return sum;
  };
  return customFunction<readonly Tensor[]>({
    inputs: [hidden, matrix],
    forward() {
      const parts = chunks((take) => {
        const logits = logitsOf(take(hidden), matrix);
        const logProbs = logits.log_softmax(-1, wide);
        const chosen = logProbs.gather(-1, take(targets).unsqueeze(-1)).squeeze(-1);
        const collided = collisions ? ops.logsumexp(logProbs.mul(2), -1) : null;
        return { chosen, collided, kept: keep ? logits : null };
      });
      return {
        output: [
          ops.cat(parts.map(({ chosen }) => chosen)),
          ...(collisions ? [ops.cat(parts.map(({ collided }) => collided!))] : []),
        ],
        saved: [hidden, matrix, targets, ...parts.flatMap(({ kept }) => kept ?? [])],
      };
    },
    backward([grad], [h, w, t, ...kept]) {
      let gradMatrix = null as Tensor | null;
      const parts = chunks((take, chunk) => {
        const logits = kept[chunk] ?? logitsOf(take(h!), w!);
        // d log p(t) / d logits = [t] - softmax; its scale goes to the smaller factors of the products.
        const softmaxLessTarget = logits.softmax(-1, wide);
        const scale = take(grad!).neg().unsqueeze(-1);
        softmaxLessTarget.scatter_add_(-1, take(t!).unsqueeze(-1), ops.full_like(scale, -1));
        // d capped / d logit = 1 - tanh² = 1 - (capped / cap)².
        if (cap !== null) softmaxLessTarget.mul_(logits.div(cap).square().neg().add(1));
        const narrow = softmaxLessTarget.to(h!.dtype);
        if (trainsMatrix) gradMatrix = withProduct(gradMatrix, narrow.t(), take(h!).mul(scale).to(h!.dtype));
        return { ofHidden: product(narrow, w!).mul_(scale), gradMatrix };
      });
      return [ops.cat(parts.map(({ ofHidden }) => ofHidden)), gradMatrix?.to(w!.dtype) ?? null];
    },
  });
}
