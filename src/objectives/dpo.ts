import { internalReward, logisticLoss, type Objective } from "./objective.ts";

export interface DpoSettings {
  readonly beta: number;
  readonly labelSmoothing: number;
}

/** Direct Preference Optimization on the target's own responses, paper Eq. 3: L = -log sigmoid(r(y_wt) - r(y_l)). */
export function dpo({ beta, labelSmoothing }: DpoSettings): Objective {
  return {
    name: "dpo",
    roles: ["target_chosen", "rejected"],
    compute({ target_chosen: yw, rejected: yl }) {
      const rW = internalReward(yw, beta);
      const rL = internalReward(yl, beta);
      const margin = rW.sub(rL);
      return {
        loss: logisticLoss(margin, labelSmoothing),
        metrics: {
          "rewards/chosen": rW,
          "rewards/rejected": rL,
          "rewards/accuracies": rW.gt(rL),
          "rewards/margins": margin,
          "logps/chosen": yw.policy,
          "logps/rejected": yl.policy,
        },
      };
    },
  };
}
