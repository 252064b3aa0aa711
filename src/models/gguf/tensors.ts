import type { Cursor } from "./cursor.ts";
import { damaged, shown } from "./cursor.ts";
import { isTensorType, type TensorType, tensorTypes, typeName } from "./types.ts";

/** A tensor of a GGUF file: where its data lies, and how. */
export interface GgufTensor {
  readonly name: string;
  readonly type: TensorType;
  /** Row-major, as in PyTorch: ggml's dimensions the other way round. */
  readonly shape: readonly number[];
  /** Of the data, in bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

const mostDimensions = 4;
const longestName = 65_535;
/** A name's length, the number of dimensions, a type and an offset. */
const smallestEntry = 8 + 4 + 4 + 8;

/** Number of tensors, held to what the file can hold. */
export const readTensorCount = (cursor: Cursor): number => cursor.count("the number of tensors", smallestEntry);

/**
 * The list of tensors; `offset` counts from the start of the data section, which is known only after the last of them.
 * @throws ModelError for whatever breaks the format, and for types that Amalgam does not read
 */
export function readTensorList(cursor: Cursor, count: number): Map<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (let i = 0; i < count; i++) {
    cursor.field = undefined;
    const at = cursor.position();
    const name = cursor.string(`the name of tensor ${i}`, longestName);
    if (tensors.has(name)) throw cursor.error(`the tensor ${shown(name)} stands there twice`, undefined, at);
    cursor.field = shown(name).slice(1, -1);
    tensors.set(name, readTensor(cursor, name));
  }
  cursor.field = undefined;
  return tensors;
}

function readTensor(cursor: Cursor, name: string): GgufTensor {
  const shape = readShape(cursor);
  const type = readType(cursor);
  const block = tensorTypes[type];
  const row = shape.at(-1) ?? 1;
  if (row % block.elements !== 0)
    throw cursor.error(
      `rows of ${row} elements are no whole number of ${type}'s blocks of ${block.elements}`,
      "The file is damaged, or was written by a tool that breaks the format: convert the model again.",
    );
  const elements = shape.reduce((product, length) => product * length, 1);
  const bytes = (elements / block.elements) * block.bytes;
  const offset = cursor.uint64("the tensor's offset");
  // Both are far below 2^53 then, and their sums exact.
  if (bytes > cursor.size || offset > BigInt(cursor.size))
    throw cursor.error(
      `the tensor's ${bytes} bytes at offset ${offset} of the data lie outside the file of ${cursor.size} bytes`,
      damaged,
      cursor.position() - 8,
    );
  return { name, type, shape, offset: Number(offset), bytes };
}

function readShape(cursor: Cursor): number[] {
  const dimensions = cursor.uint32("the number of dimensions");
  if (dimensions > mostDimensions)
    throw cursor.error(`has ${dimensions} dimensions, more than ${mostDimensions}`, undefined, cursor.position() - 4);
  const shape: number[] = [];
  let elements = 1n;
  for (let i = 0; i < dimensions; i++) {
    const length = cursor.uint64("a dimension");
    elements *= length;
    if (elements === 0n || elements > BigInt(Number.MAX_SAFE_INTEGER))
      throw cursor.error(
        elements === 0n ? "a dimension is 0" : `the dimensions make ${elements} elements`,
        undefined,
        cursor.position() - 8,
      );
    shape.unshift(Number(length));
  }
  return shape;
}

function readType(cursor: Cursor): TensorType {
  const id = cursor.uint32("the tensor's type");
  const name = typeName(id);
  if (isTensorType(name)) return name;
  throw cursor.error(
    name === undefined ? `has the unknown type ${id}` : `is of type ${name}, which Amalgam does not read`,
    `Known types: ${Object.keys(tensorTypes).join(", ")}. Take the model in another quantisation.`,
    cursor.position() - 4,
  );
}

/**
 * Places the tensors in the file, each of them aligned, inside, and apart from the others.
 * @param start of the data section, in bytes from the start of the file
 */
export function placeTensors(
  cursor: Cursor,
  list: ReadonlyMap<string, GgufTensor>,
  start: number,
  alignment: number,
): Map<string, GgufTensor> {
  const placed = new Map<string, GgufTensor>();
  for (const [name, tensor] of list) {
    const offset = start + tensor.offset;
    cursor.field = shown(name).slice(1, -1);
    if (tensor.offset % alignment !== 0)
      throw cursor.error(`the tensor's offset ${tensor.offset} is no multiple of the alignment ${alignment}`);
    if (offset + tensor.bytes > cursor.size)
      throw cursor.error(
        `the tensor's data ends at byte ${offset + tensor.bytes}, the file at byte ${cursor.size}`,
        damaged,
        offset,
      );
    placed.set(name, { ...tensor, offset });
  }
  let before: GgufTensor | undefined;
  for (const tensor of [...placed.values()].sort((a, b) => a.offset - b.offset)) {
    cursor.field = shown(tensor.name).slice(1, -1);
    if (before && tensor.offset < before.offset + before.bytes)
      throw cursor.error(`the tensor's data overlaps that of ${shown(before.name)}`, damaged, tensor.offset);
    before = tensor;
  }
  cursor.field = undefined;
  return placed;
}
