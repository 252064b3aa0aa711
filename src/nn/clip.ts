import { noGrad, ops, scope } from "../torch/index.ts";
import type { Parameters } from "./optimiser.ts";

/**
 * Scales the gradients so that their global 2-norm is at most `maxNorm`, as torch's clip_grad_norm_ does. Returns the
 * norm before clipping; where it is not finite the gradients are left as they are.
 */
export function clipGradients(parameters: Parameters, maxNorm: number): number {
  return noGrad(() =>
    scope(() => {
      const gradients = [...parameters.values()].flatMap((parameter) => parameter.grad ?? []);
      if (gradients.length === 0) return 0;
      const norm = ops.stack(ops._foreach_norm(gradients, 2)).to("float64").norm().item() as number;
      const factor = maxNorm / (norm + 1e-6);
      if (Number.isFinite(norm) && factor < 1) ops._foreach_mul_(gradients, factor);
      return norm;
    }),
  );
}
