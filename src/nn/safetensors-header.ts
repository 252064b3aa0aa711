import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { z } from "zod";
import { ModelError } from "../schema/index.ts";
import type { DType } from "../torch/index.ts";
import { bytesOf } from "../torch/index.ts";

/** Element types by their names in the format (huggingface/safetensors, README). */
export const typeNames = {
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
  C64: "complex64",
} as const satisfies Record<string, DType>;

type TypeName = keyof typeof typeNames;

/** The format's own limit. */
export const largestHeader = 100_000_000;

const metadataSchema = z.record(z.string(), z.string());
const entrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(z.int().min(0)),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});

/** Where a tensor lies: bytes from the start of the file. */
export interface StoredTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly bytes: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Size of the whole file. */
  readonly fileBytes: number;
}

export function damaged(file: string, what: string, field?: string): ModelError {
  return new ModelError(what, {
    file,
    ...(field === undefined ? {} : { field }),
    hint: "The file is damaged, was cut short, or is no safetensors file: fetch or convert it again.",
  });
}

/** The first key that an object anywhere in valid JSON has twice; JSON.parse would keep the last silently. */
function repeatedKey(json: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  for (const [token, colon] of json.matchAll(/"(?:[^"\\]+|\\.)*"(\s*:)?|[{}[\]]/g)) {
    if (token === "{" || token === "[") open.push(token === "{" ? new Set() : undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (colon !== undefined) {
      const key: string = JSON.parse(token.slice(0, -colon.length));
      if (open.at(-1)?.has(key)) return key;
      open.at(-1)?.add(key);
    }
  }
  return undefined;
}

function parseObject(file: string, raw: Buffer): Record<string, unknown> {
  let text: string;
  let parsed: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
    parsed = JSON.parse(text);
  } catch (error) {
    throw damaged(file, `its header is no JSON: ${(error as Error).message.slice(0, 100)}`);
  }
  if (parsed === null || typeof parsed !== "object" || Array.isArray(parsed))
    throw damaged(file, "its header is no JSON object");
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw damaged(file, "its header has this key twice", repeated);
  return parsed as Record<string, unknown>;
}

function readEntry(file: string, name: string, value: unknown, dataStart: number): StoredTensor {
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw damaged(file, `its header entry is wrong: ${[...issue.path, ""].join(": ")}${issue.message}`, name);
  }
  const { dtype, shape, data_offsets } = parsed.data;
  const [begin, end] = data_offsets;
  if (!Object.hasOwn(typeNames, dtype))
    throw new ModelError(`has the element type ${dtype}, which is not known here`, {
      file,
      field: name,
      hint: `Known are ${Object.keys(typeNames).join(", ")}.`,
    });
  const known = typeNames[dtype as TypeName];
  const needed = shape.reduce((product, n) => product * n, bytesOf(known));
  if (end - begin !== needed)
    throw damaged(file, `takes ${end - begin} bytes, but [${shape.join(", ")}] of ${dtype} needs ${needed}`, name);
  return { dtype: known, shape, begin: dataStart + begin, bytes: end - begin };
}

/** Tensors must lie one after another, from the end of the header to the end of the file, as the format asks. */
function checkLayout(file: string, tensors: ReadonlyMap<string, StoredTensor>, dataStart: number, size: number): void {
  let at = dataStart;
  for (const [name, { begin, bytes }] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.bytes - b.bytes)) {
    if (begin !== at)
      throw damaged(file, `${begin < at ? "overlaps the tensor" : "leaves a gap"} before it at byte ${begin}`, name);
    at += bytes;
    if (at > size) throw damaged(file, `ends at byte ${at}, the file has ${size}`, name);
  }
  if (at !== size) throw damaged(file, `its tensors end at byte ${at}, the file has ${size}`);
}

function readFully(descriptor: number, length: number, position: number): Buffer {
  const buffer = Buffer.alloc(length);
  let at = 0;
  while (at < length) {
    const got = readSync(descriptor, buffer, at, length - at, position + at);
    if (got === 0) break;
    at += got;
  }
  return buffer.subarray(0, at);
}

/**
 * Reads and checks the header of a safetensors file, none of its data.
 *
 * @throws ModelError with the file, and with the tensor where one is at fault.
 */
export function readSafetensorsHeader(file: string): SafetensorsHeader {
  let descriptor: number;
  try {
    descriptor = openSync(file, "r");
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new ModelError(missing ? "there is no such file" : `can't be read: ${(error as Error).message}`, {
      file,
      cause: error,
    });
  }
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new ModelError("is no file", { file });
    const { size } = stat;
    if (size < 8) throw damaged(file, `has ${size} bytes, less than the length of a header takes`);
    const length = readFully(descriptor, 8, 0).readBigUInt64LE();
    if (length > BigInt(largestHeader))
      throw damaged(file, `its header of ${length} bytes is above the limit of 100 MB`);
    if (length > BigInt(size - 8))
      throw damaged(file, `its header should have ${length} bytes, the whole file has ${size}`);
    const dataStart = 8 + Number(length);
    const { __metadata__: rawMetadata = {}, ...entries } = parseObject(file, readFully(descriptor, Number(length), 8));
    const metadata = metadataSchema.safeParse(rawMetadata);
    if (!metadata.success) throw damaged(file, "its metadata is no table of texts", "__metadata__");
    const tensors = new Map(
      Object.entries(entries).map(([name, entry]) => [name, readEntry(file, name, entry, dataStart)]),
    );
    checkLayout(file, tensors, dataStart, size);
    return { tensors, metadata: metadata.data, fileBytes: size };
  } finally {
    closeSync(descriptor);
  }
}
