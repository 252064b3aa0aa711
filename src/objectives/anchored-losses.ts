import type { Tensor } from "../torch/index.ts";
import { logisticLoss, type Objective } from "./objective.ts";
import { type PairLoss, pairwise, type ScoreLoss } from "./pairwise.ts";
import { type Modifiers, ratioOf, scoreOf } from "./score.ts";

/** Losses in which each response counts by its own reward, r = beta log(pi / pi_ref), and not by the margin alone. */
export interface AnchoredSettings extends Modifiers {
  readonly beta: number;
}

/** `loss` is given the rewards r(y_w) and r(y_l). */
const onRewards = (name: string, settings: AnchoredSettings, loss: ScoreLoss): Objective =>
  pairwise(name, scoreOf(settings), settings.beta, rewarded(settings.beta, loss), settings);

const rewarded =
  (beta: number, loss: ScoreLoss): ScoreLoss =>
  (sW, sL) =>
    loss(sW.mul(beta), sL.mul(beta));

/** -log sigmoid(r). */
const logistic = (reward: Tensor) => logisticLoss(reward, 0);

/**
 * NCA for pairs (Chen et al. 2024, "Noise Contrastive Alignment"):
 * L = -log sigmoid(r_w) - (log sigmoid(-r_w) + log sigmoid(-r_l)) / 2.
 */
export const ncaPair = (settings: AnchoredSettings): Objective =>
  onRewards("nca_pair", settings, (rW, rL) => logistic(rW).add(logistic(rW.neg()).add(logistic(rL.neg())).div(2)));

/**
 * BCO on pairs (Jung et al. 2024, "Binary Classifier Optimization"): L = -log sigmoid(r_w) - log sigmoid(-r_l), without
 * the shift of the rewards by their running mean, as TRL has it now: a loss of the row alone.
 */
export const bcoPair = (settings: AnchoredSettings): Objective =>
  onRewards("bco_pair", settings, (rW, rL) => logistic(rW).add(logistic(rL.neg())));

/** SPPO with hard labels (Wu et al. 2024, Eq. 4.7 with P = 1 and 0): L = (s_w - 1 / (2 beta))^2 + (s_l + 1 / (2 beta))^2, s = r / beta. */
export const sppoHard = (settings: AnchoredSettings): Objective => {
  const target = 0.5 / settings.beta;
  const loss: ScoreLoss = (sW, sL) => sW.sub(target).square().add(sL.add(target).square());
  return pairwise("sppo_hard", scoreOf(settings), settings.beta, loss, settings);
};

/**
 * APO-zero (D'Oosterlinck et al. 2024, Eq. 7), for preferred responses that are better than the model's:
 * L = 1 - sigmoid(r_w) + sigmoid(r_l).
 */
export const apoZero = (settings: Omit<AnchoredSettings, "divergence" | "divergenceAlpha">): Objective =>
  onRewards("apo_zero", settings, (rW, rL) => rW.neg().sigmoid().add(rL.sigmoid()));

/**
 * APO-down (D'Oosterlinck et al. 2024, Eq. 8), for preferred responses that are worse than the model's:
 * L = sigmoid(r_w) + 1 - sigmoid(r_w - r_l). A divergence changes the second term only, as in TRL.
 */
export const apoDown = (settings: AnchoredSettings): Objective => {
  const { beta } = settings;
  const ratio = ratioOf(settings);
  const loss: PairLoss = (sW, sL, yw) => ratio.of(yw).mul(beta).sigmoid().add(sL.sub(sW).mul(beta).sigmoid());
  return pairwise("apo_down", scoreOf(settings), beta, loss, settings);
};
