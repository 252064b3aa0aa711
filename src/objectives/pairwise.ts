import type { Tensor } from "../torch/index.ts";
import type { Objective, ResponseLogProbs } from "./objective.ts";
import type { Score } from "./score.ts";

/** Loss of each row, [B], from the scores s_w and s_l of the preferred and the dispreferred response. */
export type ScoreLoss = (sW: Tensor, sL: Tensor) => Tensor;

/** The same for losses that look at the responses' lengths or likelihoods besides. */
export type PairLoss = (sW: Tensor, sL: Tensor, yw: ResponseLogProbs, yl: ResponseLogProbs) => Tensor;

/**
 * An objective on the target's own responses, y_w = y_wt and y_l, that compares them by a score. `scale` times the score is
 * the reward that its metrics tell.
 */
export function pairwise(name: string, score: Score, scale: number, loss: PairLoss): Objective {
  return {
    name,
    roles: ["target_chosen", "rejected"],
    needsReference: score.needsReference,
    compute({ target_chosen: yw, rejected: yl }) {
      const sW = score.of(yw);
      const sL = score.of(yl);
      const rW = sW.mul(scale);
      const rL = sL.mul(scale);
      return {
        loss: loss(sW, sL, yw, yl),
        metrics: {
          "rewards/chosen": rW,
          "rewards/rejected": rL,
          "rewards/accuracies": rW.gt(rL),
          "rewards/margins": rW.sub(rL),
          "logps/chosen": yw.policy,
          "logps/rejected": yl.policy,
        },
      };
    },
  };
}
