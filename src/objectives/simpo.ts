import { logisticLoss, type Objective } from "./objective.ts";
import { pairwise, type ScoreLoss } from "./pairwise.ts";
import { averageLogProb } from "./score.ts";

export interface SimpoSettings {
  readonly beta: number;
  /** Target margin gamma, not divided by beta. */
  readonly gamma: number;
  readonly labelSmoothing: number;
}

/** -log sigmoid(beta (s_w - s_l) - gamma). */
export const targetMarginLoss =
  ({ beta, gamma, labelSmoothing }: SimpoSettings): ScoreLoss =>
  (sW, sL) =>
    logisticLoss(sW.sub(sL).mul(beta).sub(gamma), labelSmoothing);

/** SimPO (Meng et al. 2024, Eq. 6): L = -log sigmoid(beta / |y_w| log pi(y_w|x) - beta / |y_l| log pi(y_l|x) - gamma). */
export const simpo = (settings: SimpoSettings): Objective =>
  pairwise("simpo", averageLogProb, settings.beta, targetMarginLoss(settings));
