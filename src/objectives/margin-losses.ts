import { ops } from "../torch/index.ts";
import { logisticLoss, type Objective } from "./objective.ts";
import { pairwise, type ScoreLoss } from "./pairwise.ts";
import { type Modifiers, scoreOf } from "./score.ts";

/** DPO's margin h = r(y_w) - r(y_l) under other losses than the logistic one: each differs from it in one expression. */
export interface MarginSettings extends Modifiers {
  readonly beta: number;
}

export interface NoisyMarginSettings extends MarginSettings {
  /** epsilon: how often a preference is the wrong way round. */
  readonly labelSmoothing: number;
}

const onMargin = (name: string, settings: MarginSettings, loss: ScoreLoss): Objective =>
  pairwise(name, scoreOf(settings), settings.beta, loss, settings);

/** Hinge loss on the margin (RSO, Liu et al. 2023): L = max(0, 1 - h). */
export const hinge = (settings: MarginSettings): Objective =>
  onMargin("hinge", settings, (sW, sL) => ops.relu(sW.sub(sL).mul(settings.beta).neg().add(1)));

/**
 * Robust DPO (Chowdhury et al. 2024): the loss whose mean over labels that are wrong with probability epsilon is
 * DPO's over right ones. L = (-(1 - epsilon) log sigmoid(h) + epsilon log sigmoid(-h)) / (1 - 2 epsilon).
 */
export function robust(settings: NoisyMarginSettings): Objective {
  const { beta, labelSmoothing: epsilon } = settings;
  return onMargin("robust", settings, (sW, sL) => {
    const h = sW.sub(sL).mul(beta);
    return logisticLoss(h, 0)
      .mul(1 - epsilon)
      .sub(logisticLoss(h.neg(), 0).mul(epsilon))
      .div(1 - 2 * epsilon);
  });
}

/**
 * EXO-pref (Ji et al. 2024, Eq. 16): the reverse KL KL(q || p) of q = (sigmoid(h), sigmoid(-h)) from the labels
 * p = (1 - epsilon, epsilon). Infinite at epsilon = 0.
 */
export function exoPair(settings: NoisyMarginSettings): Objective {
  const { beta, labelSmoothing: epsilon } = settings;
  return onMargin("exo_pair", settings, (sW, sL) => {
    const h = sW.sub(sL).mul(beta);
    const right = h.sigmoid().mul(ops.log_sigmoid(h).sub(Math.log1p(-epsilon)));
    return right.add(
      h
        .neg()
        .sigmoid()
        .mul(ops.log_sigmoid(h.neg()).sub(Math.log(epsilon))),
    );
  });
}

export interface DiscoPopSettings extends MarginSettings {
  readonly tau: number;
}

/**
 * DiscoPOP, the log-ratio modulated loss (Lu et al. 2024, Eq. 5): L = (1 - m) (-log sigmoid(h)) + m e^-h,
 * m = sigmoid(h / tau).
 */
export function discopop(settings: DiscoPopSettings): Objective {
  const { beta, tau } = settings;
  return onMargin("discopop", settings, (sW, sL) => {
    const h = sW.sub(sL).mul(beta);
    const logistic = logisticLoss(h, 0).mul(h.div(tau).neg().sigmoid());
    // m e^-h in one exponent: apart, m is 0 and e^-h infinite where h is far below 0.
    return logistic.add(ops.log_sigmoid(h.div(tau)).sub(h).exp());
  });
}
