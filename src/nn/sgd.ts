import { ops, type Tensor } from "../torch/index.ts";
import { type CommonSettings, like, namedOptimiser, type Optimiser, type Parameters, pick } from "./optimiser.ts";

export interface SgdSettings extends CommonSettings {
  readonly momentum: number;
  /** Nesterov's look-ahead; needs a momentum. */
  readonly nesterov?: boolean;
}

/** Stochastic gradient descent with momentum (dampening 0), as in torch.optim.SGD; its decay is an L2 penalty. */
export function sgd(parameters: Parameters, settings: SgdSettings): Optimiser {
  const { momentum, nesterov = false } = settings;
  const velocity = momentum === 0 ? new Map<string, Tensor>() : like(parameters, (p) => ops.zeros_like(p));
  return namedOptimiser(parameters, settings, { momentum: velocity }, (step) => {
    const { names, parameters: weights, gradients, lr, weight_decay } = step;
    const scalars = { weight_decay, momentum, lr, dampening: 0, nesterov, maximize: false, is_first_step: false };
    ops._fused_sgd_(weights, gradients, momentum === 0 ? [] : pick(velocity, names), scalars);
  });
}
