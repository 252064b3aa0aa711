import { logisticLoss, type Objective } from "./objective.ts";
import { type PairLoss, pairwise, type ScoreLoss } from "./pairwise.ts";
import { lengthNormalised, type Modifiers, scoreOf } from "./score.ts";

export interface DpoSettings extends Modifiers {
  readonly beta: number;
  readonly labelSmoothing: number;
}

/** -log sigmoid(beta (s_w - s_l)), label smoothing as in cDPO (Mitchell 2023). */
export const sigmoidLoss =
  (beta: number, labelSmoothing: number): ScoreLoss =>
  (sW, sL) =>
    logisticLoss(sW.sub(sL).mul(beta), labelSmoothing);

/**
 * Direct Preference Optimization (Rafailov et al. 2023) on the target's own responses, paper Eq. 3:
 * L = -log sigmoid(r(y_wt) - r(y_l)). With another divergence than the reverse KL: f-DPO (Wang et al. 2023).
 */
export const dpo = (settings: DpoSettings): Objective =>
  pairwise("dpo", scoreOf(settings), settings.beta, sigmoidLoss(settings.beta, settings.labelSmoothing), settings);

/**
 * Length-normalised DPO (Lambert et al. 2024, "Tulu 3"; `sigmoid_norm` in TRL):
 * L = -log sigmoid(beta / |y_w| log(pi / pi_ref)(y_w) - beta / |y_l| log(pi / pi_ref)(y_l)).
 */
export const lengthNormalisedDpo = (settings: DpoSettings): Objective =>
  pairwise(
    "ln_dpo",
    lengthNormalised(scoreOf(settings)),
    settings.beta,
    sigmoidLoss(settings.beta, settings.labelSmoothing),
    settings,
  );

export interface LengthRegularisedDpoSettings extends DpoSettings {
  /** The price of a token. */
  readonly lengthAlpha: number;
}

/**
 * R-DPO (Park et al. 2024, "Disentangling Length from Quality in DPO"):
 * L = -log sigmoid(r(y_w) - r(y_l) + alpha (|y_w| - |y_l|)): a longer response must be better to count as much.
 */
export function lengthRegularisedDpo(settings: LengthRegularisedDpoSettings): Objective {
  const { beta, labelSmoothing, lengthAlpha } = settings;
  const loss: PairLoss = (sW, sL, yw, yl) =>
    logisticLoss(sW.sub(sL).mul(beta).add(yw.lengths.sub(yl.lengths).mul(lengthAlpha)), labelSmoothing);
  return pairwise("r_dpo", scoreOf(settings), beta, loss, settings);
}
