import type { Tensor } from "../torch/index.ts";
import type { Objective, ResponseLogProbs } from "./objective.ts";
import type { Modifiers, Score } from "./score.ts";

/** Loss of each row, [B], from the scores s_w and s_l of the preferred and the dispreferred response. */
export type ScoreLoss = (sW: Tensor, sL: Tensor) => Tensor;

/** The same for losses that look at the responses' lengths or likelihoods besides. */
export type PairLoss = (sW: Tensor, sL: Tensor, yw: ResponseLogProbs, yl: ResponseLogProbs) => Tensor;

/**
 * An objective on the target's own responses, y_w = y_wt and y_l, that compares them by a score. `scale` times the score is
 * the reward that its metrics tell.
 *
 * With `wpoWeighting` the loss of a row is times w(y_w) w(y_l) (Zhou et al. 2024, "WPO", Eq. 2), w(y) the geometric mean over
 * the tokens of pi(y_t) / sum_v pi(v)^2: the policy's probability of the token, beside the one that a token of its own has on
 * average. No gradient flows through the weights.
 */
export function pairwise(
  name: string,
  score: Score,
  scale: number,
  loss: PairLoss,
  { wpoWeighting = false }: Pick<Modifiers, "wpoWeighting"> = {},
): Objective {
  return {
    name,
    roles: ["target_chosen", "rejected"],
    needsReference: score.needsReference,
    needsHeads: score.needsHeads ?? false,
    needsAlignments: wpoWeighting,
    compute({ target_chosen: yw, rejected: yl }) {
      const sW = score.of(yw);
      const sL = score.of(yl);
      const rW = sW.mul(scale);
      const rL = sL.mul(scale);
      const plain = loss(sW, sL, yw, yl);
      const weights = wpoWeighting ? yw.alignment!.add(yl.alignment!).exp() : undefined;
      return {
        loss: weights === undefined ? plain : plain.mul(weights),
        metrics: {
          "rewards/chosen": rW,
          "rewards/rejected": rL,
          "rewards/accuracies": rW.gt(rL),
          "rewards/margins": rW.sub(rL),
          "logps/chosen": yw.policy,
          "logps/rejected": yl.policy,
          ...(weights === undefined ? {} : { "wpo/weights": weights }),
        },
      };
    },
  };
}
