import { internalReward, logisticLoss, type Objective } from "./objective.ts";

export interface WrpoSettings {
  readonly beta: number;
  /** End value of the fusion coefficient alpha, or its value throughout. */
  readonly alpha: number;
  readonly alphaSchedule: "linear" | "static";
  readonly labelSmoothing: number;
}

/** The fusion coefficient at this point of training: from 0 towards `alpha`, linearly (paper section 3.3, appendix E). */
export const fusionCoefficient = ({ alpha, alphaSchedule }: WrpoSettings, progress: number): number =>
  alphaSchedule === "linear" ? alpha * progress : alpha;

/**
 * Weighted-Reward Preference Optimization, paper Eq. 7:
 * L = -log sigmoid(alpha r(y_ws) + (1 - alpha) r(y_wt) - r(y_l)), with the compound reward of Eq. 5 for the preferred pair.
 * alpha = 0 is DPO on (y_wt, y_l), alpha = 1 is DPO on (y_ws, y_l).
 */
export function wrpo(settings: WrpoSettings): Objective {
  return {
    name: "wrpo",
    roles: ["source_chosen", "target_chosen", "rejected"],
    compute({ source_chosen: yws, target_chosen: ywt, rejected: yl }, progress) {
      const alpha = fusionCoefficient(settings, progress);
      const rWs = internalReward(yws, settings.beta);
      const rWt = internalReward(ywt, settings.beta);
      const rL = internalReward(yl, settings.beta);
      const chosen = rWs.mul(alpha).add(rWt.mul(1 - alpha));
      const margin = chosen.sub(rL);
      return {
        loss: logisticLoss(margin, settings.labelSmoothing),
        metrics: {
          "rewards/chosen": chosen,
          "rewards/source_chosen": rWs,
          "rewards/target_chosen": rWt,
          "rewards/rejected": rL,
          "rewards/accuracies": chosen.gt(rL),
          "rewards/source_accuracies": rWs.gt(rL),
          "rewards/pivot_accuracies": rWt.gt(rL),
          "rewards/margins": margin,
          "logps/chosen": yws.policy.add(ywt.policy).div(2),
          "logps/source_chosen": yws.policy,
          "logps/target_chosen": ywt.policy,
          "logps/rejected": yl.policy,
          cur_alpha: margin.detach().mul(0).add(alpha),
        },
      };
    },
  };
}
