import type { Tensor } from "../torch/index.ts";
import { logisticLoss, type Objective } from "./objective.ts";
import { pairwise, type ScoreLoss } from "./pairwise.ts";
import { logRatioUnless } from "./score.ts";

/** Losses in which each response counts by its own reward, r = beta log(pi / pi_ref), and not by the margin alone. */
export interface AnchoredSettings {
  readonly beta: number;
  readonly referenceFree?: boolean;
}

/** `loss` is given the rewards r(y_w) and r(y_l). */
const onRewards = (name: string, { beta, referenceFree = false }: AnchoredSettings, loss: ScoreLoss): Objective =>
  pairwise(name, logRatioUnless(referenceFree), beta, (sW, sL) => loss(sW.mul(beta), sL.mul(beta)));

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
export const sppoHard = ({ beta, referenceFree = false }: AnchoredSettings): Objective =>
  pairwise("sppo_hard", logRatioUnless(referenceFree), beta, (sW, sL) =>
    sW
      .sub(0.5 / beta)
      .square()
      .add(sL.add(0.5 / beta).square()),
  );

/**
 * APO-zero (D'Oosterlinck et al. 2024, Eq. 7), for preferred responses that are better than the model's:
 * L = 1 - sigmoid(r_w) + sigmoid(r_l).
 */
export const apoZero = (settings: AnchoredSettings): Objective =>
  onRewards("apo_zero", settings, (rW, rL) => rW.neg().sigmoid().add(rL.sigmoid()));

/**
 * APO-down (D'Oosterlinck et al. 2024, Eq. 8), for preferred responses that are worse than the model's:
 * L = sigmoid(r_w) + 1 - sigmoid(r_w - r_l).
 */
export const apoDown = (settings: AnchoredSettings): Objective =>
  onRewards("apo_down", settings, (rW, rL) => rW.sigmoid().add(rL.sub(rW).sigmoid()));
