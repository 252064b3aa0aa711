import { ops, type Tensor } from "../torch/index.ts";
import { logisticLoss, type Objective, type ResponseLogProbs } from "./objective.ts";
import { logRatio, ratioOf } from "./score.ts";

/**
 * Losses in which each response counts by itself, as desirable (y_wt) or undesirable (y_l): a row may have one of the two
 * only. They look at the batch as a whole, and its loss is the mean over its responses.
 */
const unpaired = {
  roles: ["target_chosen", "rejected"],
  coupled: true,
  unpaired: true,
} as const;

/** The figures that both tell, from the rewards of the desirable and the undesirable responses. */
function figures(yw: ResponseLogProbs, yl: ResponseLogProbs, rW: Tensor, rL: Tensor): Record<string, Tensor> {
  const both = rW.shape[0]! > 0 && rL.shape[0]! > 0;
  return {
    "rewards/chosen": rW,
    "rewards/rejected": rL,
    ...(both ? { "rewards/margins": rW.mean().sub(rL.mean()) } : {}),
    "logps/chosen": yw.policy,
    "logps/rejected": yl.policy,
  };
}

export interface KtoSettings {
  readonly beta: number;
  /** lambda_D and lambda_U, the weights of desirable and undesirable responses. */
  readonly desirableWeight: number;
  readonly undesirableWeight: number;
}

/**
 * Kahneman-Tversky Optimization (Ethayarajh et al. 2024, Eq. 7-8), with s = log(pi / pi_ref):
 * L = lambda_D (1 - sigmoid(beta (s(y) - z))) for a desirable, lambda_U (1 - sigmoid(beta (z - s(y)))) for an undesirable
 * response; z = max(0, mean of s over the batch's prompts with the responses of other rows), which no gradient flows through.
 */
export const kto = ({ beta, desirableWeight, undesirableWeight }: KtoSettings): Objective => ({
  name: "kto",
  ...unpaired,
  needsReference: true,
  mismatched: true,
  compute({ target_chosen: yw, rejected: yl, mismatched }) {
    const z = ops.relu(logRatio.of(mismatched).mean().detach());
    const [sW, sL] = [logRatio.of(yw), logRatio.of(yl)];
    const desirable = sW.sub(z).mul(-beta).sigmoid().mul(desirableWeight);
    const undesirable = sL.sub(z).mul(beta).sigmoid().mul(undesirableWeight);
    return {
      loss: ops.cat([desirable, undesirable]),
      metrics: { ...figures(yw, yl, sW.mul(beta), sL.mul(beta)), kl: z },
    };
  },
});

export interface BcoSettings {
  readonly beta: number;
  readonly referenceFree?: boolean;
}

/**
 * Binary Classifier Optimization (Jung et al. 2024, Eq. 8): L = -log sigmoid(r(y) - delta) for a desirable and
 * -log sigmoid(delta - r(y)) for an undesirable response, delta the mean of all rewards of the training so far, this batch
 * included; in an evaluation, those of the training until then. Without the weights for prompts that only the undesirable have.
 */
export const bco = (settings: BcoSettings): Objective => {
  const { beta } = settings;
  const score = ratioOf(settings);
  const initialState = { count: 0, mean: 0 };
  return {
    name: "bco",
    ...unpaired,
    needsReference: score.needsReference,
    initialState,
    compute({ target_chosen: yw, rejected: yl }, _progress, state = initialState, learnt = true) {
      const [rW, rL] = [score.of(yw).mul(beta), score.of(yl).mul(beta)];
      const { count, mean } = state as typeof initialState;
      const rewards = ops.cat([rW, rL]).detach();
      const seen = learnt ? rewards.shape[0]! : 0;
      const total = count + seen;
      const delta = seen === 0 ? mean : mean + (((rewards.mean().item() as number) - mean) * seen) / total;
      return {
        loss: ops.cat([logisticLoss(rW.sub(delta), 0), logisticLoss(rL.sub(delta).neg(), 0)]),
        metrics: { ...figures(yw, yl, rW, rL), delta: ops.full_like(rewards.mean(), delta) },
        state: { count: total, mean: delta },
      };
    },
  };
};
