import type { Objective } from "./objective.ts";
import { pairwise, type ScoreLoss } from "./pairwise.ts";
import { lengthNormalised, type Modifiers, scoreOf } from "./score.ts";

export interface IpoSettings extends Modifiers {
  readonly tau: number;
  /** Log-ratios for each token, as TRL computes them; their sum otherwise. */
  readonly lengthNormalised: boolean;
}

/** (s_w - s_l - 1 / (2 tau))^2. */
export const squaredLoss =
  (tau: number): ScoreLoss =>
  (sW, sL) =>
    sW
      .sub(sL)
      .sub(1 / (2 * tau))
      .square();

/** Identity Preference Optimization (Azar et al. 2023, Eq. 17): L = (h - 1 / (2 tau))^2, h = log(pi / pi_ref)(y_w) - log(pi / pi_ref)(y_l). */
export function ipo(settings: IpoSettings): Objective {
  const { tau, lengthNormalised: averaged } = settings;
  const score = scoreOf(settings);
  return pairwise("ipo", averaged ? lengthNormalised(score) : score, tau, squaredLoss(tau), settings);
}
