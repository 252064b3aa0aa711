import type { Tensor } from "../torch/index.ts";
import { noGrad, ops, scope } from "../torch/index.ts";

/**
 * Scales the gradients of `parameters` in place so that their global 2-norm is at most `maxNorm`, as torch's
 * clip_grad_norm_ does, with one device synchronisation. Returns the norm before clipping, accumulated in float32 or
 * wider; 0 where there are no gradients. Where it is not finite the gradients are left as they are, and the caller
 * decides.
 */
export function clipGradNorm(parameters: Iterable<Tensor>, maxNorm: number): number {
  return noGrad(() =>
    scope(() => {
      const gradients = [...parameters].flatMap((parameter) => parameter.grad ?? []);
      const [first] = gradients;
      if (first === undefined) return 0;
      const wide = gradients.some((gradient) => gradient.dtype === "float64") ? "float64" : "float32";
      const { device } = first;
      const norms = ops._foreach_norm(gradients, 2, wide).map((norm) => norm.to({ device }));
      const norm = Number(ops.stack(norms).to("float64").norm().item());
      const factor = maxNorm / (norm + 1e-6);
      if (Number.isFinite(norm) && factor < 1) ops._foreach_mul_(gradients, factor);
      return norm;
    }),
  );
}
