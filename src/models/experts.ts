import type { Tensor } from "../torch/index.ts";
import { ops } from "../torch/index.ts";

/**
 * A sparse mixture of experts (Jiang et al. 2024, Mixtral, section 2.1). Each row of x [rows, hidden] goes through the
 * `perToken` experts of its largest router logits [rows, experts]; the softmax over these logits weighs their outputs.
 */
export function mixture(
  x: Tensor,
  routerLogits: Tensor,
  perToken: number,
  expert: (index: number, some: Tensor) => Tensor,
): Tensor {
  const [largest, chosen] = routerLogits.to(x.dtype === "float64" ? "float64" : "float32").topk(perToken);
  const shares = largest.softmax(-1).to(x.dtype).flatten();
  let out = ops.zeros_like(x);
  for (let index = 0; index < routerLogits.shape[1]!; index++) {
    // An expert that no row chose computes on no rows, so that its weights have a gradient, of zeros.
    const [rows, places] = ops.where(chosen.eq(index)) as [Tensor, Tensor];
    const share = shares.index_select(0, rows.mul(perToken).add(places)).unsqueeze(-1);
    out = out.index_add(0, rows, expert(index, x.index_select(0, rows)).mul(share));
  }
  return out;
}
