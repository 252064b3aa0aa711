import { customFunction, noGrad, ops, type Tensor } from "../torch/index.ts";
import { fasterLibrary, machineRates } from "./machine-rates.ts";
import { oneDnnLinear } from "./onednn.ts";

/** oneDNN computes fp32 on the processor where it was measured to be the faster; libtorch chooses for everything else. */
const byOneDnn = (x: Tensor): boolean =>
  x.dtype === "float32" && x.device === "cpu" && x.elements > 0 && fasterLibrary(machineRates()) === "onednn";

/** a [m, k] times b [k, n] -> [m, n], by the faster library; nothing is recorded for a backward. */
export const product = (a: Tensor, b: Tensor): Tensor => noGrad(() => (byOneDnn(a) ? oneDnnLinear(a, b.t()) : a.mm(b)));

/** x [rows, in] times weight^T, weight [out, in], plus bias [out] -> [rows, out], by the faster library. */
export const linear = (x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor =>
  byOneDnn(x) ? recordedOneDnnLinear(x, weight, bias) : ops.linear(x, weight, bias);

/** oneDNN's product with the gradients of x, weight and bias, each a product by oneDNN too. */
export function recordedOneDnnLinear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  const inputs = [x, weight, bias];
  const wanted = inputs.map((input) => input?.requiresGrad === true);
  return customFunction({
    inputs,
    forward: () => ({ output: oneDnnLinear(x, weight, bias), saved: [x, weight] }),
    backward([grad], [xs, w]) {
      // Gradients of sums come as one number seen everywhere, which oneDNN does not take.
      const dense = grad!.contiguous();
      return [
        wanted[0] ? oneDnnLinear(dense, w!.t()) : null,
        wanted[1] ? oneDnnLinear(dense.t(), xs!.t()) : null,
        wanted[2] ? dense.sum([0]) : null,
      ];
    },
  });
}
