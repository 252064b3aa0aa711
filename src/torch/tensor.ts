import { TorchError } from "../schema/index.ts";
import type { DType } from "./dtype.ts";
import { bytesOf } from "./dtype.ts";
import { native } from "./native.ts";
import type { TensorMethods } from "./ops.generated.ts";

/**
 * A tensor of libtorch. Its methods are libtorch's own operators under their own names. Memory is freed when the
 * `scope` it was made in ends, by `dispose`, or at last by the garbage collector.
 */
export interface Tensor extends TensorMethods {
  readonly shape: number[];
  readonly strides: number[];
  readonly dtype: DType;
  readonly device: string;
  /** Number of elements. */
  readonly elements: number;
  readonly disposed: boolean;
  readonly isLeaf: boolean;
  requiresGrad: boolean;
  grad: Tensor | null;
  /** The value of a tensor with one element. */
  item(): number | boolean;
  /** A copy of the elements, row-major, as raw bytes. */
  bytes(): ArrayBuffer;
  dispose(): void;
}

export type NumericArray =
  | Float32Array
  | Float64Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Int8Array
  | Int16Array;

const arrayTypes = {
  float32: Float32Array,
  float64: Float64Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

function dtypeOf(data: NumericArray): DType {
  if (data instanceof Float32Array) return "float32";
  if (data instanceof Float64Array) return "float64";
  if (data instanceof BigInt64Array) return "int64";
  if (data instanceof Int32Array) return "int32";
  if (data instanceof Int16Array) return "int16";
  return data instanceof Int8Array ? "int8" : "uint8";
}

export const isTensor = (value: unknown): value is Tensor => native().isTensor(value);

function wholeNumber(value: number): bigint {
  if (!Number.isSafeInteger(value))
    throw new TorchError(`tensor: ${value} is no whole number below 2^53; BigInt64Array takes larger ones`);
  return BigInt(value);
}

/**
 * A CPU tensor with a copy of `data`. A plain array becomes float32 unless `dtype` says otherwise; a typed array keeps
 * its type. `shape` defaults to one dimension.
 *
 * @throws TorchError when the number of elements does not fit the shape, or an int64 element is no whole number.
 */
export function tensor(
  data: NumericArray | readonly number[],
  shape: readonly number[] = [data.length],
  dtype?: DType,
): Tensor {
  if (!Array.isArray(data)) {
    const typed = data as NumericArray;
    const made = native().fromBytes(typed, shape, dtypeOf(typed));
    return dtype === undefined || dtype === dtypeOf(typed) ? made : made.to(dtype);
  }
  const numbers = data as readonly number[];
  switch (dtype) {
    case "int64":
      return native().fromBytes(BigInt64Array.from(numbers, wholeNumber), shape, "int64");
    case "int32":
      return native().fromBytes(Int32Array.from(numbers), shape, "int32");
    case "bool":
      return native().fromBytes(Uint8Array.from(numbers, Number), shape, "bool");
    case undefined:
    case "float32":
      return native().fromBytes(Float32Array.from(numbers), shape, "float32");
    default:
      return native().fromBytes(Float64Array.from(numbers), shape, "float64").to(dtype);
  }
}

/**
 * The elements, row-major, as the typed array of their dtype; half precision comes as float32.
 *
 * @throws TorchError for complex and 8-bit floating types.
 */
export function toArray(x: Tensor): NumericArray {
  if (x.dtype === "bfloat16" || x.dtype === "float16") {
    const wide = x.detach().to("float32");
    const result = toArray(wide);
    wide.dispose();
    return result;
  }
  const arrayType = arrayTypes[x.dtype as keyof typeof arrayTypes];
  if (arrayType === undefined)
    throw new TorchError(`toArray: no JavaScript array holds ${x.dtype}; convert it with .to() first`);
  return new arrayType(x.bytes());
}

/** The elements as JavaScript numbers. Integers beyond 2^53 lose digits. */
export const toNumbers = (x: Tensor): number[] => Array.from(toArray(x) as ArrayLike<number | bigint>, Number);

/** Bytes the elements take. */
export const byteSize = (x: Tensor): number => x.elements * bytesOf(x.dtype);
