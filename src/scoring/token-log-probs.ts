import { softcap } from "../models/index.ts";
import { addProduct, linear, product, weightGradient } from "../nn/index.ts";
import type { DType, Tensor } from "../torch/index.ts";
import { bytesOf, customFunction, hasKernels, native, ops, scope } from "../torch/index.ts";

/** Logits computed at a time: enough rows for a fast matrix product, few enough to stay small. */
export const logitsAtATime = 1 << 25;
/** Logits that are kept for the backward where they take no more than this; else they are computed again there. */
export const keptLogitBytes = 512 << 20;

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
  chosenAndCollisions(hidden, matrix, targets, options).logProbs;

/** `tokenLogProbs`, and for each row log sum_v p(v)^2 over the vocabulary: float32 [S], without a gradient. */
export const tokenAlignments = (
  hidden: Tensor,
  matrix: Tensor,
  targets: Tensor,
  options: LogProbOptions = {},
): { logProbs: Tensor; collisions: Tensor } => chosenAndCollisions(hidden, matrix, targets, options);

/**
 * Of each row of logits [rows, vocabulary], in `wide`: log p(target), the largest logit beside log sum e^(logit - largest) [rows, 2], and
 * log sum p^2.
 */
function rowFigures(logits: Tensor, targets: Tensor, wide: DType): readonly [Tensor, Tensor, Tensor] {
  if (hasKernels(logits)) return native().logProbs(logits, targets);
  const widened = logits.to(wide);
  const top = widened.amax([-1], true);
  const shifted = widened.sub(top);
  const log = shifted.exp().sum([-1], true).log();
  const chosen = shifted.gather(-1, targets.unsqueeze(-1)).sub(log).squeeze(-1);
  return [chosen, ops.cat([top, log], -1), ops.logsumexp(shifted.sub(log).mul(2), -1)];
}

/** The gradient of the logits, [t = target] - softmax times `grad` [rows]; the kernel writes it into their place. */
function logitGradient(logits: Tensor, targets: Tensor, norms: Tensor, grad: Tensor, cap: number | null): Tensor {
  if (hasKernels(logits)) {
    native().logProbsGradient(logits, targets, norms, grad, cap ?? 0);
    return logits;
  }
  const widened = logits.to(norms.dtype);
  const [top, log] = norms.split(1, -1);
  const probabilities = widened.sub(top!).sub_(log!).exp_();
  const gradient = probabilities.neg().scatter_add_(-1, targets.unsqueeze(-1), ops.ones_like(log!));
  // d capped / d logit = 1 - tanh² = 1 - (capped / cap)².
  if (cap !== null) gradient.mul_(widened.div(cap).square().neg().add(1));
  return gradient.mul_(grad.unsqueeze(-1)).to(logits.dtype);
}

function chosenAndCollisions(
  hidden: Tensor,
  matrix: Tensor,
  targets: Tensor,
  options: LogProbOptions,
): { logProbs: Tensor; collisions: Tensor } {
  const [rows, vocabulary] = [hidden.shape[0]!, matrix.shape[0]!];
  const size = options.size ?? Math.max(64, Math.floor(logitsAtATime / vocabulary));
  const cap = options.cap ?? null;
  const logitsOf = (x: Tensor, w: Tensor) => softcap(linear(x, w), cap);
  const wide = hidden.dtype === "float64" ? "float64" : "float32";
  const recorded = hidden.requiresGrad || matrix.requiresGrad;
  const trainsMatrix = matrix.requiresGrad;
  const keep = recorded && rows * vocabulary * bytesOf(hidden.dtype) <= (options.keptBytes ?? keptLogitBytes);
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
  // The gradients of kept logits take their place: a second backward computes them again.
  let spent = false;
  const [logProbs, collisions] = customFunction<readonly Tensor[]>({
    inputs: [hidden, matrix],
    forward() {
      const parts = chunks((take) => {
        const logits = logitsOf(take(hidden), matrix);
        return { figures: rowFigures(logits, take(targets), wide), kept: keep ? logits : null };
      });
      const [chosen, norms, collided] = [0, 1, 2].map((k) => ops.cat(parts.map(({ figures }) => figures[k]!)));
      return {
        output: [chosen!, collided!],
        saved: [hidden, matrix, targets, norms!, ...parts.flatMap(({ kept }) => kept ?? [])],
      };
    },
    backward([grad], [h, w, t, norms, ...kept]) {
      let gradMatrix = null as Tensor | null;
      const parts = chunks((take, chunk) => {
        const logits = (spent ? undefined : kept[chunk]) ?? logitsOf(take(h!), w!);
        const gradient = logitGradient(logits, take(t!), take(norms!), take(grad!), cap);
        if (trainsMatrix) gradMatrix = withProduct(gradMatrix, gradient.t(), take(h!));
        return { ofHidden: product(gradient, w!), gradMatrix };
      });
      spent = true;
      return [ops.cat(parts.map(({ ofHidden }) => ofHidden)), gradMatrix?.to(w!.dtype) ?? null];
    },
  });
  return { logProbs: logProbs!, collisions: collisions!.detach() };
}
