import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ModelError } from "../schema/index.ts";
import type { DType, Tensor } from "../torch/index.ts";
import { byteSize, bytesOf, noGrad, scope } from "../torch/index.ts";
import { largestHeader, typeNames } from "./safetensors-header.ts";
import { writeBeside } from "./write-whole.ts";

type Metadata = Readonly<Record<string, string>>;
type Entry = readonly [name: string, tensor: Tensor];

const codes = Object.entries(typeNames) as [keyof typeof typeNames, DType][];
const nameOf = new Map(codes.map(([code, dtype]) => [dtype, code]));

/** The reference library's order: wide types first, so that every tensor is aligned to its elements. */
const typeOrder: readonly DType[] = [
  ...(["int64", "float64", "complex64", "float32", "int32", "bfloat16", "float16", "int16"] as const),
  ...(["float8_e4m3fn", "float8_e5m2", "int8", "uint8", "bool"] as const),
];

const transformersMetadata: Metadata = { format: "pt" };

/** A tensor's bytes in pieces, so that a large one is not in memory twice. */
function* pieces(tensor: Tensor): Iterable<Uint8Array> {
  const elements = Math.floor((16 << 20) / bytesOf(tensor.dtype));
  const flat = noGrad(() => scope(() => tensor.detach().contiguous().view([-1])));
  try {
    for (let at = 0; at < tensor.elements; at += elements)
      yield scope(() => new Uint8Array(flat.narrow(0, at, Math.min(elements, tensor.elements - at)).bytes()));
  } finally {
    flat.dispose();
  }
}

function prepareFile(file: string, given: readonly Entry[], metadata: Metadata): () => void {
  for (const [name, { dtype }] of given) {
    if (name === "__metadata__") throw new ModelError("no tensor can have this name", { file, field: name });
    if (!nameOf.has(dtype)) throw new ModelError(`safetensors has no name for ${dtype}`, { file, field: name });
  }
  const rank = ({ dtype }: Tensor) => typeOrder.indexOf(dtype);
  const tensors = [...given].sort(
    ([a, x], [b, y]) => rank(x) - rank(y) || Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  let at = 0;
  const entries = tensors.map(([name, tensor]): [string, unknown] => {
    const begin = at;
    at += byteSize(tensor);
    return [name, { dtype: nameOf.get(tensor.dtype), shape: tensor.shape, data_offsets: [begin, at] }];
  });
  const described = Object.keys(metadata).length === 0 ? [] : [["__metadata__", metadata] as const];
  // Written entry by entry: an object would move names like "0" to the front.
  const json = `{${[...described, ...entries].map((pair) => pair.map((x) => JSON.stringify(x)).join(":")).join(",")}}`;
  const length = Math.ceil(Buffer.byteLength(json) / 8) * 8;
  if (length > largestHeader) throw new ModelError(`a header of ${length} bytes is above the format's limit`, { file });
  const header = Buffer.alloc(8 + length, " ");
  header.writeBigUInt64LE(BigInt(length));
  header.write(json, 8);
  return writeBeside(file, header.length + at, function* () {
    yield header;
    for (const [, tensor] of tensors) yield* pieces(tensor);
  });
}

/**
 * Writes tensors to one safetensors file, byte for byte as the reference library does; the file appears whole or not at
 * all.
 *
 * @throws EnvironmentError when the disk is full; an earlier file of that name survives.
 */
export function writeSafetensorsFile(
  file: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Metadata = transformersMetadata,
): void {
  prepareFile(file, [...tensors], metadata)();
}

/** Bytes of a shard; the size that the hub's own tools write. */
const shardBytes = 5e9;

function shardsOf(tensors: ReadonlyMap<string, Tensor>, limit: number): Entry[][] {
  const shards: Entry[][] = [[]];
  let filled = 0;
  for (const entry of tensors) {
    const size = byteSize(entry[1]);
    if (filled > 0 && filled + size > limit) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(entry);
    filled += size;
  }
  return shards;
}

const indexName = "model.safetensors.index.json";
const isWeights = (name: string) => name === indexName || /^model(-\d{5}-of-\d{5})?\.safetensors$/.test(name);

/**
 * Writes tensors into a folder as `model.safetensors`, or over several shards with their index where they take more than
 * `limit` bytes. All is on the disk before the first file takes its place; weights of these names from an earlier save
 * go then.
 *
 * @throws EnvironmentError when the disk is full; what was there before survives.
 */
export function writeSafetensors(folder: string, tensors: ReadonlyMap<string, Tensor>, limit = shardBytes): void {
  const shards = shardsOf(tensors, limit);
  const pad = (n: number) => String(n).padStart(5, "0");
  const names = shards.map((_, k) =>
    shards.length === 1 ? "model.safetensors" : `model-${pad(k + 1)}-of-${pad(shards.length)}.safetensors`,
  );
  const place: (() => void)[] = [];
  const written = [...names];
  try {
    for (const [k, shard] of shards.entries())
      place.push(prepareFile(join(folder, names[k]!), shard, transformersMetadata));
    if (shards.length > 1) {
      const total = [...tensors.values()].reduce((sum, tensor) => sum + byteSize(tensor), 0);
      const map = Object.fromEntries(shards.flatMap((shard, k) => shard.map(([name]) => [name, names[k]!])));
      const index = { metadata: { total_size: total }, weight_map: map };
      const text = Buffer.from(`${JSON.stringify(index, null, 2)}\n`);
      place.push(writeBeside(join(folder, indexName), text.length, () => [text]));
      written.push(indexName);
    }
  } catch (error) {
    for (const name of names) rmSync(join(folder, `${name}.${process.pid}.partial`), { force: true });
    throw error;
  }
  for (const put of place) put();
  for (const name of readdirSync(folder)) if (isWeights(name) && !written.includes(name)) rmSync(join(folder, name));
}
