import { native, type Tensor } from "../torch/index.ts";

type Pointwise = (
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  attribute: string,
  scalars: readonly number[],
  algorithm: string,
) => Tensor;

let pointwise: Pointwise | null | undefined;

function found(): Pointwise | null {
  if (pointwise === undefined)
    try {
      pointwise = native().op("mkldnn::_linear_pointwise") as Pointwise;
    } catch {
      pointwise = null;
    }
  return pointwise;
}

/** Whether this libtorch has oneDNN's product of ordinary tensors. */
export const hasOneDnn = (): boolean => found() !== null;

/**
 * x [rows, in] times weight^T, weight [out, in], plus bias [out] -> [rows, out], by oneDNN, on the processor. Either matrix may be a
 * transposed view; nothing is recorded for a backward.
 */
export const oneDnnLinear = (x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor =>
  found()!(x, weight, bias, "none", [], "");
