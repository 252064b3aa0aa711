import { ops, type Tensor } from "../torch/index.ts";
import { logisticLoss, type Objective } from "./objective.ts";
import { pairwise } from "./pairwise.ts";
import { averageLogProb, logProb } from "./score.ts";

/** Reference-free losses of two terms: one prefers y_w to y_l, the other keeps y_w likely. */
export interface LikelihoodSettings {
  /** Weight of the second term. */
  readonly lambda: number;
}

export interface CpoSettings extends LikelihoodSettings {
  readonly beta: number;
  readonly labelSmoothing: number;
}

/**
 * Contrastive Preference Optimization (Xu et al. 2024, Eq. 3):
 * L = -log sigmoid(beta (log pi(y_w|x) - log pi(y_l|x))) - lambda log pi(y_w|x) / |y_w|.
 * The likelihood counts by the token, as in the authors' trainer and in TRL's (`cpo_alpha` there).
 */
export const cpo = ({ beta, lambda, labelSmoothing }: CpoSettings): Objective =>
  pairwise("cpo", logProb, beta, (sW, sL, yw) =>
    logisticLoss(sW.sub(sL).mul(beta), labelSmoothing).sub(averageLogProb.of(yw).mul(lambda)),
  );

/**
 * Odds Ratio Preference Optimization (Hong et al. 2024, Eq. 6-7), with p(y) = exp(log pi(y|x) / |y|) and
 * odds = p / (1 - p): L = -log p(y_w) - lambda log sigmoid(log odds(y_w) - log odds(y_l)).
 */
export const orpo = ({ lambda }: LikelihoodSettings): Objective =>
  pairwise("orpo", averageLogProb, lambda, (sW, sL) =>
    logisticLoss(logOdds(sW).sub(logOdds(sL)), 0)
      .mul(lambda)
      .sub(sW),
  );

/** log(p / (1 - p)) for p = exp(s), s < 0. */
const logOdds = (s: Tensor): Tensor => s.sub(ops.expm1(s).neg().log());

export interface SlicHfSettings extends LikelihoodSettings {
  /** The margin of the log-probs below which a pair costs. */
  readonly delta: number;
}

/** SLiC-HF (Zhao et al. 2023), y_w as its target: L = max(0, delta - log pi(y_w|x) + log pi(y_l|x)) - lambda log pi(y_w|x). */
export const slicHf = ({ delta, lambda }: SlicHfSettings): Objective =>
  pairwise("slic_hf", logProb, 1, (sW, sL) => ops.relu(sL.sub(sW).add(delta)).sub(sW.mul(lambda)));

/**
 * RRHF (Yuan et al. 2023) on pairs:
 * L = max(0, log pi(y_l|x) / |y_l| - log pi(y_w|x) / |y_w|) - lambda log pi(y_w|x).
 */
export const rrhf = ({ lambda }: LikelihoodSettings): Objective =>
  pairwise("rrhf", averageLogProb, 1, (sW, sL, yw) => ops.relu(sL.sub(sW)).sub(yw.policy.mul(lambda)));

/**
 * The cross-entropy of y_wt by the token: L = -log pi(y_w|x) / |y_w|. A part of mixtures, such as RPO's (Liu et al. 2024,
 * "Provably Mitigating Overoptimization in RLHF"). Each row counts alike, whatever its length.
 */
export function sft(): Objective {
  return {
    name: "sft",
    roles: ["target_chosen"],
    needsReference: false,
    compute: ({ target_chosen: yw }) => ({
      loss: averageLogProb.of(yw).neg(),
      metrics: { "logps/chosen": yw.policy },
    }),
  };
}
