import {
  gateScale,
  type HeadLayer,
  normTensors,
  objectiveTransform,
  type RewardGate,
  type RewardHead,
} from "../../models/index.ts";
import { ops, type Tensor, tensor } from "../../torch/index.ts";

/** What a head reads off the hidden states of some texts. */
export interface HeadFigures {
  /** [texts] */
  readonly rewards: Tensor;
  /** Each objective's or label's own reward, and what a gate says of how much it counts, both [texts, objectives]. */
  readonly objectives?: { readonly rewards: Tensor; readonly gates?: Tensor };
}

type Parameters = ReadonlyMap<string, Tensor>;

/** As batch norms are made; no config of a reward model says otherwise. */
const normEpsilon = 1e-5;

/**
 * The rewards of texts, in float32: `last` [texts, hidden] are the states of the tokens that are read, `prompts` [texts, hidden] those of
 * their prompts' ends, which only the gate of ArmoRM and QRM looks at. Of a process reward the probability of the good label; of labels that
 * `weights` weigh, their weighted sum.
 *
 * With a gate r = sum_k g_k (W h)_k', where g is its softmax and the objectives W h are turned by a matrix that takes their
 * correlation with length out: ArmoRM, arXiv 2406.12845, section 3. QRM's objectives are means of quantiles (arXiv 2409.10164). URM's are
 * the means of normal distributions, and g is what its gate gives, without a softmax (arXiv 2410.00847).
 */
export function readHead(
  head: RewardHead,
  parameters: Parameters,
  last: Tensor,
  prompts: Tensor | undefined,
  weights?: readonly number[],
): HeadFigures {
  const { gate, distribution, outputs } = head;
  const numbers = perceptron(head.layers, parameters, last, "relu");
  if (head.process) return { rewards: numbers.softmax(-1).select(-1, 1) };
  const each = numbers.view([-1, outputs, distribution.count]);
  const objectives = distribution.kind === "quantiles" ? each.mean([-1]) : each.select(-1, 0);
  if (weights !== undefined) {
    const share = tensor(weights, [weights.length]).to(objectives.device, "float32");
    return { rewards: objectives.mul(share).sum([-1]), objectives: { rewards: objectives } };
  }
  if (gate === null) return { rewards: objectives.squeeze(-1) };
  const logits = perceptron(gate.layers, parameters, gate.overPrompt === null ? last : prompts!, gate.activation);
  if (gate.overPrompt === null)
    return { rewards: logits.mul(objectives).sum([-1]), objectives: { rewards: objectives, gates: logits } };
  const weight = (name: string) => parameters.get(name)!.to("float32");
  const gates = logits.div(gate.overPrompt.temperature).softmax(-1).mul(weight(gateScale));
  const rewards = gates.mul(objectives.mm(weight(objectiveTransform))).sum([-1]);
  return { rewards, objectives: { rewards: objectives, gates } };
}

/** Linear layers with an activation between them, and where the reference code has one a batch norm after it. x [rows, from] -> [rows, to] */
function perceptron(
  layers: readonly HeadLayer[],
  parameters: Parameters,
  x: Tensor,
  activation: RewardGate["activation"],
): Tensor {
  const weight = (name: string) => parameters.get(name)!.to("float32");
  let result = x.to("float32");
  for (const [index, { weight: name, bias, norm }] of layers.entries()) {
    result = result.mm(weight(name).t());
    if (bias !== null) result = result.add(weight(bias));
    if (index === layers.length - 1) break;
    result = activation === "relu" ? result.relu() : ops.selu(result);
    if (norm === null) continue;
    const [scale, shift, mean, variance] = normTensors.map((each) => weight(`${norm}.${each}`)) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    result = result
      .sub(mean)
      .mul(ops.rsqrt(variance.add(normEpsilon)))
      .mul(scale)
      .add(shift);
  }
  return result;
}
