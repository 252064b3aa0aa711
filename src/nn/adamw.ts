import { ops } from "../torch/index.ts";
import { type CommonSettings, like, namedOptimiser, type Optimiser, type Parameters, pick } from "./optimiser.ts";

export interface AdamWSettings extends CommonSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

/**
 * AdamW (Loshchilov and Hutter 2019, algorithm 2) by libtorch's fused operator; moments in the parameters' type. Equal
 * to `torch.optim.AdamW(fused=True)`.
 */
export function adamW(parameters: Parameters, settings: AdamWSettings): Optimiser {
  const { beta1, beta2, epsilon: eps } = settings;
  const first = like(parameters, (parameter) => ops.zeros_like(parameter));
  const second = like(parameters, (parameter) => ops.zeros_like(parameter));
  const counts = like(parameters, ({ device }) => ops.zeros([], { dtype: "float32", device }));
  const state = { exp_avg: first, exp_avg_sq: second, step: counts };
  return namedOptimiser(parameters, settings, state, ({ names, parameters: weights, gradients, lr, weight_decay }) => {
    const steps = pick(counts, names);
    ops._foreach_add_(steps, 1);
    const scalars = { lr, beta1, beta2, weight_decay, eps, amsgrad: false, maximize: false };
    ops._fused_adamw_(weights, gradients, pick(first, names), pick(second, names), [], steps, scalars);
  });
}
