import type { Tensor } from "../torch/index.ts";
import { logisticLoss, type Objective } from "./objective.ts";
import { type PairLoss, pairwise } from "./pairwise.ts";
import { type Modifiers, policyOf, ratioOf, referenceOf } from "./score.ts";

export interface TransportSettings extends Pick<Modifiers, "referenceFree" | "ldAlpha"> {
  readonly beta: number;
  readonly labelSmoothing: number;
}

const ascending = (values: Tensor): Tensor => values.sort()[0];

/**
 * Alignment by optimal transport (Melnyk et al. 2024, "Distributional Preference Alignment of LLMs via Optimal Transport"),
 * on pairs: the margins of the batch are to dominate the reference's as distributions. With margins
 * m = log pi(y_w|x) - log pi(y_l|x) and m_ref, and m_(i) the i-th smallest of the batch: L_i = -log sigmoid(beta (m_(i) - m_ref(i))).
 */
export const aot = (settings: TransportSettings): Objective =>
  coupledPair("aot", settings, (_sW, _sL, yw, yl) => {
    const margins = ascending(policyOf(yw, settings).sub(policyOf(yl, settings)));
    const gain = settings.referenceFree
      ? margins
      : margins.sub(ascending(referenceOf(yw, settings).sub(referenceOf(yl, settings))));
    return logisticLoss(gain.mul(settings.beta), settings.labelSmoothing);
  });

/**
 * The same without pairs: the log-ratios s of the batch's preferred responses are to dominate those of its dispreferred
 * ones: L_i = -log sigmoid(beta (s_w(i) - s_l(i))).
 */
export const aotUnpaired = (settings: TransportSettings): Objective =>
  coupledPair("aot_unpaired", settings, (sW, sL) =>
    logisticLoss(ascending(sW).sub(ascending(sL)).mul(settings.beta), settings.labelSmoothing),
  );

const coupledPair = (name: string, settings: TransportSettings, loss: PairLoss): Objective => ({
  ...pairwise(name, ratioOf(settings), settings.beta, loss),
  coupled: true,
});
