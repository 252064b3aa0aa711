import { gateLayer, gateScale, objectiveTransform, type RewardHead } from "../../models/index.ts";
import type { Tensor } from "../../torch/index.ts";

/** What a head reads off the hidden states of some texts. */
export interface HeadFigures {
  /** [texts] */
  readonly rewards: Tensor;
  /** ArmoRM's: each objective's own reward and how much it counts, both [texts, objectives]. */
  readonly objectives?: { readonly rewards: Tensor; readonly gates: Tensor };
}

/**
 * The rewards of texts, in float32: `last` [texts, hidden] are the states of their last tokens, `prompts` [texts, hidden] those of their
 * prompts' ends, which only a gate looks at.
 *
 * With a gate r = sum_k g_k (W h)_k', where g is its softmax and the objectives W h are turned by a matrix that takes their
 * correlation with length out: ArmoRM, arXiv 2406.12845, section 3.
 */
export function readHead(
  head: RewardHead,
  parameters: ReadonlyMap<string, Tensor>,
  last: Tensor,
  prompts: Tensor | undefined,
): HeadFigures {
  const weight = (name: string) => parameters.get(name)!.to("float32");
  const objectives = last.to("float32").mm(weight(head.weight).t());
  if (head.gate === null) return { rewards: objectives.squeeze(-1) };
  const layers = head.gate.sizes.slice(1).map((_, index) => gateLayer(index));
  let x = prompts!.to("float32");
  for (const [index, { weight: w, bias }] of layers.entries()) {
    x = x.mm(weight(w).t()).add(weight(bias));
    if (index < layers.length - 1) x = x.relu();
  }
  const gates = x.div(head.gate.temperature).softmax(-1).mul(weight(gateScale));
  const rewards = gates.mul(objectives.mm(weight(objectiveTransform))).sum([-1]);
  return { rewards, objectives: { rewards: objectives, gates } };
}
