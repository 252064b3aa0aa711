import { customFunction, hasKernels, native, ops, type Tensor } from "../torch/index.ts";

/**
 * x [..., n] divided by the root mean square of its last dimension, times weight [n] (Zhang and Sennrich 2019). Computed in fp32 where
 * x is narrower, and rounded once.
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  if (!hasKernels(x)) return ops._fused_rms_norm(x, [weight.elements], weight, epsilon)[0];
  const learns = weight.requiresGrad;
  return customFunction({
    inputs: [x, weight],
    forward() {
      const [output, scales] = native().rmsNorm(x, weight, epsilon);
      return { output, saved: [x, weight, scales] };
    },
    backward: ([grad], [xs, w, scales]) => native().rmsNormBackward(grad!, xs!, w!, scales!, learns),
  });
}
