import type { Tensor } from "../torch/index.ts";
import { logisticLoss, type Objective } from "./objective.ts";
import { type PairLoss, pairwise } from "./pairwise.ts";
import { logRatioUnless } from "./score.ts";

export interface TransportSettings {
  readonly beta: number;
  readonly labelSmoothing: number;
  readonly referenceFree?: boolean;
}

const ascending = (values: Tensor): Tensor => values.sort()[0];

/**
 * Alignment by optimal transport (Melnyk et al. 2024, "Distributional Preference Alignment of LLMs via Optimal Transport"),
 * on pairs: the margins of the batch are to dominate the reference's as distributions. With margins
 * m = log pi(y_w|x) - log pi(y_l|x) and m_ref, and m_(i) the i-th smallest of the batch: L_i = -log sigmoid(beta (m_(i) - m_ref(i))).
 */
export const aot = ({ beta, labelSmoothing, referenceFree = false }: TransportSettings): Objective =>
  coupledPair("aot", { beta, referenceFree }, (_sW, _sL, yw, yl) => {
    const margins = ascending(yw.policy.sub(yl.policy));
    const gain = referenceFree ? margins : margins.sub(ascending(yw.reference.sub(yl.reference)));
    return logisticLoss(gain.mul(beta), labelSmoothing);
  });

/**
 * The same without pairs: the log-ratios s of the batch's preferred responses are to dominate those of its dispreferred
 * ones: L_i = -log sigmoid(beta (s_w(i) - s_l(i))).
 */
export const aotUnpaired = ({ beta, labelSmoothing, referenceFree = false }: TransportSettings): Objective =>
  coupledPair("aot_unpaired", { beta, referenceFree }, (sW, sL) =>
    logisticLoss(ascending(sW).sub(ascending(sL)).mul(beta), labelSmoothing),
  );

const coupledPair = (
  name: string,
  { beta, referenceFree }: { readonly beta: number; readonly referenceFree: boolean },
  loss: PairLoss,
): Objective => ({ ...pairwise(name, logRatioUnless(referenceFree), beta, loss), coupled: true });
