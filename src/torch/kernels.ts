import type { DType } from "./dtype.ts";
import type { Tensor } from "./tensor.ts";

const types: ReadonlySet<DType> = new Set(["float32", "bfloat16", "float64"] as const);

/** Whether the addon's kernels compute this tensor: it is on the processor, and of one of their types. */
export const hasKernels = ({ device, dtype }: Tensor): boolean => device === "cpu" && types.has(dtype);
