import { statSync } from "node:fs";
import { ModelError } from "../../schema/index.ts";
import { bytesOf, type DType, noGrad, ops, scope, type Tensor } from "../../torch/index.ts";
import { type Unpack, unpackers } from "./blocks.ts";
import type { Gguf } from "./read.ts";
import type { GgufTensor } from "./tensors.ts";
import { type TensorType, tensorTypes } from "./types.ts";

/** Elements that are worked on at once: what is in between stays in the caches. */
const chunkElements = 1 << 20;

const plainTypes: Partial<Record<TensorType, DType>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  F64: "float64",
  I8: "int8",
  I16: "int16",
  I32: "int32",
  I64: "int64",
};

/**
 * The weights of one tensor of a GGUF file, row-major on the CPU, in memory of their own.
 *
 * Quantised types are computed in float32, in the order of ggml's reference, so that float32 is equal to gguf-py's
 * `dequantize` to the last bit; `dtype` is rounded to from there. The file is mapped, and worked through in chunks: beside
 * the result only a few MB are taken.
 *
 * @throws ModelError when there is no such tensor, or the file changed its size since it was read.
 */
export function dequantise(
  gguf: Gguf,
  name: string,
  dtype: "float32" | "bfloat16" | "float16" | "float64" = "float32",
): Tensor {
  const { file } = gguf;
  const source = gguf.tensors.get(name);
  if (!source)
    throw new ModelError(`there is no tensor ${JSON.stringify(name)}`, {
      file,
      hint: "Its architecture may not be the one that its metadata names.",
    });
  return noGrad(() =>
    scope(() => {
      const bytes = mapped(gguf, source);
      const plain = plainTypes[source.type];
      const unpack = unpackers[source.type];
      if (plain) return convert(bytes, plain, dtype).view(source.shape);
      if (unpack) return unpackAll(bytes, source.type, unpack, dtype).view(source.shape);
      throw new TypeError(`no way to read ${source.type}`);
    }),
  );
}

/** The tensor's data as bytes, in a private mapping of the file. */
function mapped(gguf: Gguf, { offset, bytes }: GgufTensor): Tensor {
  // Touching a mapping beyond the end of its file would kill the process.
  const size = statSync(gguf.file, { throwIfNoEntry: false })?.size;
  if (size !== gguf.size)
    throw new ModelError(
      size === undefined ? "the file is gone" : `the file changed from ${gguf.size} to ${size} bytes while it was read`,
      { file: gguf.file, hint: "Something replaces the file: wait for it, and start again." },
    );
  return ops.from_file(gguf.file, false, offset + bytes, { dtype: "uint8" }).narrow(0, offset, bytes);
}

/** Alignments below 8 are lawful; a view of wider elements needs them aligned. */
const aligned = (bytes: Tensor, width: number): Tensor =>
  ops.storage_offset(bytes) % width === 0 ? bytes : bytes.clone();

const convert = (bytes: Tensor, from: DType, to: DType): Tensor =>
  aligned(bytes, bytesOf(from)).view(from).to(to, false, true);

function unpackAll(bytes: Tensor, type: TensorType, unpack: Unpack, dtype: DType): Tensor {
  const layout = tensorTypes[type];
  const blocks = aligned(bytes, 2).view([-1, layout.bytes]);
  const count = blocks.shape[0]!;
  const result = ops.empty([count, layout.elements], { dtype });
  const step = chunkElements / layout.elements;
  // One for all chunks: many large blocks, made and freed between small ones that stay, leave holes in the heap.
  const scratch =
    dtype === "float32" ? null : ops.empty([Math.min(step, count), layout.elements], { dtype: "float32" });
  for (let start = 0; start < count; start += step) {
    const length = Math.min(step, count - start);
    scope(() => {
      const { quants, scale, shift } = unpack(blocks.narrow(0, start, length));
      const rows = result.narrow(0, start, length).view(quants.shape);
      const values = scratch?.narrow(0, 0, length).view(quants.shape) ?? rows;
      values.copy_(quants).mul_(scale);
      if (shift) values.add_(shift);
      if (scratch) rows.copy_(values);
    });
  }
  return result;
}
