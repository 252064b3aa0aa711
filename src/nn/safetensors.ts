import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { EnvironmentError, ModelError } from "../schema/index.ts";
import type { DType, Tensor } from "../torch/index.ts";
import { byteSize, bytesOf, ops, scope } from "../torch/index.ts";

const typeNames = {
  F64: "float64",
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  F8_E4M3: "float8_e4m3fn",
  F8_E5M2: "float8_e5m2",
  I64: "int64",
  I32: "int32",
  I16: "int16",
  I8: "int8",
  U8: "uint8",
  BOOL: "bool",
} as const satisfies Record<string, DType>;
const nameOf = new Map<DType, string>(Object.entries(typeNames).map(([name, dtype]) => [dtype, name]));

/** The format's own limit. */
const largestHeader = 100_000_000;

const entrySchema = z.strictObject({
  dtype: z.enum(Object.keys(typeNames) as [keyof typeof typeNames]),
  shape: z.array(z.int().min(0)),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});
type Entry = z.infer<typeof entrySchema>;

export interface Safetensors {
  /** The files that the tensors lie in. */
  readonly files: readonly string[];
  /** Views of the mapped files: read-only, and valid while the files are not changed. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

function damaged(file: string, what: string, field?: string): ModelError {
  return new ModelError(what, {
    file,
    ...(field === undefined ? {} : { field }),
    hint: "The file is damaged or was cut short: fetch or convert it again.",
  });
}

function readHeader(file: string): { entries: Map<string, Entry>; start: number; size: number } {
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) throw new ModelError("there is no such file", { file });
  if (size < 8) throw damaged(file, `has ${size} bytes, less than a header`);
  const descriptor = openSync(file, "r");
  try {
    const prefix = Buffer.alloc(8);
    readSync(descriptor, prefix, 0, 8, 0);
    const length = prefix.readBigUInt64LE();
    if (length > BigInt(Math.min(largestHeader, size - 8)))
      throw damaged(file, `its header should have ${length} bytes, the file has ${size}`);
    const text = Buffer.alloc(Number(length));
    readSync(descriptor, text, 0, text.length, 8);
    return { entries: parseEntries(file, text), start: 8 + text.length, size };
  } finally {
    closeSync(descriptor);
  }
}

function parseEntries(file: string, text: Buffer): Map<string, Entry> {
  let raw: Record<string, unknown>;
  try {
    raw = z.record(z.string(), z.unknown()).parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text)));
  } catch (error) {
    throw new ModelError("its header is no JSON object", {
      file,
      cause: error,
      hint: "The file is damaged, or no safetensors file.",
    });
  }
  const entries = new Map<string, Entry>();
  for (const [name, value] of Object.entries(raw)) {
    if (name === "__metadata__") continue;
    const parsed = entrySchema.safeParse(value);
    if (!parsed.success) throw damaged(file, `its header entry is wrong: ${parsed.error.issues[0]?.message}`, name);
    entries.set(name, parsed.data);
  }
  return entries;
}

/** Offsets must tile the data without holes or overlaps, as the format asks. */
function checkLayout(file: string, entries: ReadonlyMap<string, Entry>, dataBytes: number): void {
  let at = 0;
  for (const [name, { dtype, shape, data_offsets }] of [...entries].sort(
    ([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1],
  )) {
    const [begin, end] = data_offsets;
    const wanted = shape.reduce((product, n) => product * n, bytesOf(typeNames[dtype]));
    if (end - begin !== wanted)
      throw damaged(file, `takes ${end - begin} bytes, its shape and type need ${wanted}`, name);
    if (begin !== at) throw damaged(file, `begins at byte ${begin} of the data, where ${at} was due`, name);
    at = end;
  }
  if (at !== dataBytes) throw damaged(file, `its tensors take ${at} bytes, the file has ${dataBytes}`);
}

function openFile(file: string): Map<string, Tensor> {
  const { entries, start, size } = readHeader(file);
  checkLayout(file, entries, size - start);
  return scope(() => {
    const tensors = new Map<string, Tensor>();
    const mapped = ops.from_file(file, false, size, { dtype: "uint8" });
    for (const [name, { dtype, shape, data_offsets }] of entries) {
      const bytes = mapped.narrow(0, start + data_offsets[0], data_offsets[1] - data_offsets[0]);
      const type = typeNames[dtype];
      // The format does not align tensors to their element size; libtorch wants it so.
      const aligned = (start + data_offsets[0]) % bytesOf(type) === 0 ? bytes : bytes.clone();
      tensors.set(name, aligned.view(type).view(shape));
    }
    return tensors;
  });
}

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+$/)) });

/**
 * The tensors of a safetensors file or of a model folder (one file, or shards named by an index), mapped into memory.
 *
 * @throws ModelError for a missing or damaged file, with the tensor where one is at fault.
 */
export function openSafetensors(path: string): Safetensors {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true)
    return { files: [path], tensors: openFile(path) };
  const index = join(path, "model.safetensors.index.json");
  const single = join(path, "model.safetensors");
  if (existsSync(single)) return { files: [single], tensors: openFile(single) };
  if (!existsSync(index))
    throw new ModelError("the folder has neither model.safetensors nor model.safetensors.index.json", {
      file: path,
      hint: "Weights are read from safetensors only.",
    });
  let map: Record<string, string>;
  try {
    map = indexSchema.parse(JSON.parse(readFileSync(index, "utf8"))).weight_map;
  } catch (error) {
    throw new ModelError("is no index of safetensors shards", { file: index, cause: error });
  }
  const files = [...new Set(Object.values(map))].sort().map((name) => join(path, name));
  const tensors = new Map(files.flatMap((file) => [...openFile(file)]));
  for (const [name, shard] of Object.entries(map))
    if (!tensors.has(name))
      throw new ModelError(`the index places it in ${shard}, which lacks it`, { file: index, field: name });
  return { files, tensors };
}

/** Writes all of `parts` to a new file that appears whole or not at all. */
function writeWhole(file: string, bytes: number, parts: Iterable<Uint8Array>): void {
  const partial = `${file}.${process.pid}.partial`;
  const descriptor = openSync(partial, "w");
  try {
    for (const part of parts)
      for (let at = 0; at < part.length; ) at += writeSync(descriptor, part, at, part.length - at);
    fsyncSync(descriptor);
  } catch (error) {
    closeSync(descriptor);
    rmSync(partial, { force: true });
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    const { bavail, bsize } = statfsSync(dirname(file));
    throw new EnvironmentError(`the disk is full: ${file} needs ${bytes} bytes, ${bavail * bsize} are free`, {
      hint: "Free some space and start again; nothing that was there before is lost.",
      cause: error,
    });
  }
  closeSync(descriptor);
  renameSync(partial, file);
}

function writeFile(file: string, tensors: readonly (readonly [string, Tensor])[]): void {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let at = 0;
  for (const [name, tensor] of tensors) {
    const dtype = nameOf.get(tensor.dtype);
    if (dtype === undefined) throw new ModelError(`safetensors has no name for ${tensor.dtype}`, { file, field: name });
    header[name] = { dtype, shape: tensor.shape, data_offsets: [at, at + byteSize(tensor)] };
    at += byteSize(tensor);
  }
  const json = JSON.stringify(header);
  const text = Buffer.from(json.padEnd(json.length + ((8 - (Buffer.byteLength(json) % 8)) % 8)));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  function* parts() {
    yield prefix;
    yield text;
    for (const [, tensor] of tensors) yield new Uint8Array(tensor.bytes());
  }
  writeWhole(file, 8 + text.length + at, parts());
}

/** Bytes of a shard; the size that the hub's own tools write. */
const shardBytes = 5e9;

/**
 * Writes tensors into a folder as `model.safetensors`, or over several shards with their index where they take more than
 * `limit` bytes. Each file is written beside its place and renamed.
 *
 * @throws EnvironmentError when the disk is full; what was there before survives.
 */
export function writeSafetensors(folder: string, tensors: ReadonlyMap<string, Tensor>, limit = shardBytes): void {
  const shards: [string, Tensor][][] = [[]];
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
  if (shards.length === 1) return writeFile(join(folder, "model.safetensors"), shards[0]!);
  const pad = (n: number) => String(n).padStart(5, "0");
  const map: Record<string, string> = {};
  for (const [k, shard] of shards.entries()) {
    const name = `model-${pad(k + 1)}-of-${pad(shards.length)}.safetensors`;
    writeFile(join(folder, name), shard);
    for (const [tensor] of shard) map[tensor] = name;
  }
  const total = [...tensors.values()].reduce((sum, tensor) => sum + byteSize(tensor), 0);
  const text = Buffer.from(JSON.stringify({ metadata: { total_size: total }, weight_map: map }, null, 2));
  writeWhole(join(folder, "model.safetensors.index.json"), text.length, [text]);
}

/** Writes tensors to one safetensors file. @throws EnvironmentError when the disk is full. */
export const writeSafetensorsFile = (file: string, tensors: ReadonlyMap<string, Tensor>): void =>
  writeFile(file, [...tensors]);
