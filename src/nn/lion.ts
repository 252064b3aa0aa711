import { ops, scope } from "../torch/index.ts";
import { type CommonSettings, like, namedOptimiser, type Optimiser, type Parameters } from "./optimiser.ts";

export interface LionSettings extends CommonSettings {
  readonly beta1: number;
  readonly beta2: number;
}

/**
 * Lion (Chen et al. 2023, arXiv 2302.06675, algorithm 2): the sign of beta1 m + (1 - beta1) g is the direction, decay is
 * decoupled; one moment, in the parameters' type. Learning rates are a third to a tenth of AdamW's.
 */
export function lion(parameters: Parameters, settings: LionSettings): Optimiser {
  const { beta1, beta2 } = settings;
  const moments = like(parameters, (parameter) => ops.zeros_like(parameter));
  return namedOptimiser(parameters, settings, { exp_avg: moments }, (step) => {
    for (const [k, parameter] of step.parameters.entries())
      scope(() => {
        const gradient = step.gradients[k]!;
        const moment = moments.get(step.names[k]!)!;
        const direction = moment
          .mul(beta1)
          .add_(gradient, { alpha: 1 - beta1 })
          .sign_();
        parameter.mul_(1 - step.lr * step.weight_decay).add_(direction, { alpha: -step.lr });
        moment.mul_(beta2).add_(gradient, { alpha: 1 - beta2 });
      });
  });
}
