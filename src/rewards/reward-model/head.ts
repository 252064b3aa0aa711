import { gateScale, type HeadLayer, normTensors, objectiveTransform, type RewardHead } from "../../models/index.ts";
import { ops, type Tensor } from "../../torch/index.ts";

/** What a head reads off the hidden states of some texts. */
export interface HeadFigures {
  /** [texts] */
  readonly rewards: Tensor;
  /** ArmoRM's and QRM's: each objective's own reward and how much it counts, both [texts, objectives]. */
  readonly objectives?: { readonly rewards: Tensor; readonly gates: Tensor };
}

type Parameters = ReadonlyMap<string, Tensor>;

/** As batch norms are made; no config of a reward model says otherwise. */
const normEpsilon = 1e-5;

/**
 * The rewards of texts, in float32: `last` [texts, hidden] are the states of the tokens that are read, `prompts` [texts, hidden] those of
 * their prompts' ends, which only a gate looks at. Of a process reward the probability of the good label.
 *
 * With a gate r = sum_k g_k (W h)_k', where g is its softmax and the objectives W h are turned by a matrix that takes their
 * correlation with length out: ArmoRM, arXiv 2406.12845, section 3. QRM's objectives are means of quantiles (arXiv 2409.10164).
 */
export function readHead(
  head: RewardHead,
  parameters: Parameters,
  last: Tensor,
  prompts: Tensor | undefined,
): HeadFigures {
  const read = perceptron(head.layers, parameters, last);
  if (head.process) return { rewards: read.softmax(-1).select(-1, 1) };
  const objectives = head.quantiles === 1 ? read : read.view([-1, head.outputs, head.quantiles]).mean([-1]);
  if (head.gate === null) return { rewards: objectives.squeeze(-1) };
  const weight = (name: string) => parameters.get(name)!.to("float32");
  const logits = perceptron(head.gate.layers, parameters, prompts!);
  const gates = logits.div(head.gate.temperature).softmax(-1).mul(weight(gateScale));
  const rewards = gates.mul(objectives.mm(weight(objectiveTransform))).sum([-1]);
  return { rewards, objectives: { rewards: objectives, gates } };
}

/** Linear layers with a ReLU between them, and where the reference code has one a batch norm after it. x [rows, from] -> [rows, to] */
function perceptron(layers: readonly HeadLayer[], parameters: Parameters, x: Tensor): Tensor {
  const weight = (name: string) => parameters.get(name)!.to("float32");
  let result = x.to("float32");
  for (const [index, { weight: name, bias, norm }] of layers.entries()) {
    result = result.mm(weight(name).t());
    if (bias !== null) result = result.add(weight(bias));
    if (index === layers.length - 1) break;
    result = result.relu();
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
