import { native, noGrad, ops, type Tensor } from "../torch/index.ts";
import {
  fasterLibrary,
  kernelIsFaster,
  kernelIsFasterForFew,
  machineRates,
  oneDnnIsFasterInRows,
} from "./machine-rates.ts";
import { oneDnnLinear } from "./onednn.ts";

/** Fewer rows are read, not computed: packing the factors would cost more than it saves. */
const leastRows = 96;

const isLarge = (a: Tensor, b: Tensor): boolean =>
  a.dtype === "float32" && a.device === "cpu" && Math.min(a.shape[0]!, a.shape[1]!, b.shape[1]!) >= leastRows;

/** The kernel of the addon computes large fp32 products on the processor where it was measured to be the faster. */
const byKernel = (a: Tensor, b: Tensor): boolean => isLarge(a, b) && kernelIsFaster(machineRates());

/** Up to so many rows the kernel reads the right factor where it lies (kThin in native/product.cc). */
const fewRows = 16;

/** A step of decoding: what costs is reading the weight, whose rows lie in one piece each. */
const isReadAsItLies = (a: Tensor, b: Tensor): boolean =>
  a.dtype === "float32" &&
  a.device === "cpu" &&
  a.shape[0]! <= fewRows &&
  a.strides[1] === 1 &&
  b.strides[0] === 1 &&
  b.shape[1]! >= leastRows &&
  kernelIsFasterForFew(machineRates());

/** oneDNN computes the other ones where it is faster than the BLAS; libtorch chooses for everything else. */
const byOneDnn = (a: Tensor): boolean =>
  a.dtype === "float32" && a.device === "cpu" && a.elements > 0 && fasterLibrary(machineRates()) === "onednn";

/** Rows of both factors lie in one piece each, as for the gradient of an input: oneDNN has its best rate there. */
const inRows = (a: Tensor, b: Tensor): boolean =>
  isLarge(a, b) && a.strides[1] === 1 && b.strides[1] === 1 && oneDnnIsFasterInRows(machineRates());

/** A product with few rows or columns of factors that oneDNN would turn around first: the BLAS reads them as they lie. */
const isTurnedForLittle = (a: Tensor, b: Tensor): boolean =>
  Math.min(a.shape[0]!, a.shape[1]!, b.shape[1]!) < leastRows && (a.strides[1] !== 1 || b.strides[0] !== 1);

/** a [m, k] times b [k, n], plus `plus` [m, n] -> [m, n], by whatever is fastest here; nothing is recorded for a backward. */
export const product = (a: Tensor, b: Tensor, plus: Tensor | null = null): Tensor =>
  noGrad(() => {
    const turnsNothing = inRows(a, b);
    if (turnsNothing || !(byKernel(a, b) || isReadAsItLies(a, b))) {
      const alone = turnsNothing || (byOneDnn(a) && !isTurnedForLittle(a, b)) ? oneDnnLinear(a, b.t()) : a.mm(b);
      return plus === null ? alone : alone.add_(plus);
    }
    const result = ops.empty([a.shape[0]!, b.shape[1]!], { dtype: a.dtype, device: a.device });
    native().addProduct(result, a, b, plus);
    return result;
  });

/** Adds a [m, k] times b [k, n] to `sum` [m, n], in place; nothing is recorded for a backward. */
export function addProduct(sum: Tensor, a: Tensor, b: Tensor): void {
  noGrad(() => {
    if (byKernel(a, b)) native().addProduct(sum, a, b, sum);
    // With few columns of the left factor, going over the sum is what costs: once, and not for a product of its own too.
    else if (byOneDnn(a) && a.shape[1]! >= leastRows && !isTurnedForLittle(a, b)) sum.add_(oneDnnLinear(a, b.t()));
    else sum.addmm_(a, b);
  });
}
