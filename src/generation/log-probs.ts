import type { Tensor } from "../torch/index.ts";
import { noGrad, scope, tensor, toArray, toNumbers } from "../torch/index.ts";

/** How probable the model finds a token, and which tokens it finds the most probable there. */
export interface TokenLogProb {
  readonly id: number;
  readonly logProb: number;
  /** Descending; as many as were asked for. */
  readonly top: readonly { readonly id: number; readonly logProb: number }[];
}

/**
 * Log-probs of one token for each row of logits [R, vocabulary], of the model's own distribution: no temperature, no penalty, nothing
 * left out. `tops` says how many of the most probable tokens are told beside each.
 */
export function tokenLogProbs(logits: Tensor, ids: readonly number[], tops: readonly number[]): TokenLogProb[] {
  return noGrad(() =>
    scope(() => {
      const wide = logits.to("float32");
      const norms = toNumbers(wide.logsumexp([-1]));
      const own = tensor(ids, [ids.length, 1], "int64").to(logits.device, "int64");
      const chosen = toNumbers(wide.gather(-1, own));
      const width = Math.min(Math.max(0, ...tops), logits.shape[1]!);
      const [values, order] = width === 0 ? [] : wide.topk(width, -1).map(toArray);
      return ids.map((id, row) => ({
        id,
        logProb: chosen[row]! - norms[row]!,
        top: Array.from({ length: Math.min(width, tops[row]!) }, (_, k) => ({
          id: Number(order![row * width + k]!),
          logProb: Number(values![row * width + k]!) - norms[row]!,
        })),
      }));
    }),
  );
}
