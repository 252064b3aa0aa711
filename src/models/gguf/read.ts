import type { Cursor } from "./cursor.ts";
import { shown, withCursor } from "./cursor.ts";
import { type GgufValue, readEntryCount, readMetadata } from "./metadata.ts";
import { type GgufTensor, placeTensors, readTensorCount, readTensorList } from "./tensors.ts";

/** What a GGUF file says about itself; the weights stay in the file. */
export interface Gguf {
  readonly file: string;
  /** Of the file, in bytes. */
  readonly size: number;
  readonly version: 2 | 3;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the order of the file. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Of the tensors' data, in bytes. */
  readonly alignment: number;
}

const magic = "GGUF";
const defaultAlignment = 32;
const largestAlignment = 2 ** 30;
/** Of ggml's block formats, since before GGUF. */
const quantisationVersion = 2;

/**
 * Reads the metadata and the tensor list of a GGUF file (format: ggml's docs/gguf.md), versions 2 and 3, little-endian.
 * Only the head of the file is read, through a small window; every length is held to the file's size first.
 *
 * @throws ModelError with file, field, byte offset and what to do for a file that is missing, damaged, hostile, of
 * another version or byte order, split over several files, or of a tensor type that Amalgam does not read.
 */
export function readGguf(path: string): Gguf {
  return withCursor(path, (cursor) => {
    const version = readVersion(cursor);
    const tensorCount = readTensorCount(cursor);
    const metadata = readMetadata(cursor, readEntryCount(cursor));
    checkWhole(cursor, metadata);
    const alignment = alignmentOf(cursor, metadata);
    const list = readTensorList(cursor, tensorCount);
    const start = Math.ceil(cursor.position() / alignment) * alignment;
    const tensors = placeTensors(cursor, list, start, alignment);
    return { file: path, size: cursor.size, version, metadata, tensors, alignment };
  });
}

function readVersion(cursor: Cursor): 2 | 3 {
  const start = cursor.view(4, "the first four bytes");
  const found = String.fromCharCode(...new Uint8Array(start.buffer, start.byteOffset, 4));
  if (found !== magic)
    throw cursor.error(`starts with ${shown(found)}, not with ${magic}`, "This is no GGUF file: name another.", 0);
  const version = cursor.uint32("the version");
  if (version === 2 || version === 3) return version;
  if (version % 65_536 === 0 && version !== 0)
    throw cursor.error("the file is big-endian", "Convert it with gguf-py's gguf_convert_endian.py first.", 4);
  throw cursor.error(
    `is of version ${version}; versions 2 and 3 are known`,
    version === 1 ? "Convert it with a current llama.cpp." : "The file is damaged, or newer than this Amalgam.",
    4,
  );
}

function checkWhole(cursor: Cursor, metadata: ReadonlyMap<string, GgufValue>): void {
  const parts = metadata.get("split.count") ?? 1;
  if (parts !== 1 && parts !== 0) {
    cursor.field = "split.count";
    throw cursor.error(
      `the model is split over ${shown(String(parts))} files`,
      "Join them with llama.cpp's gguf-split --merge, and name the joined file.",
    );
  }
  const blocks = metadata.get("general.quantization_version") ?? quantisationVersion;
  if (blocks !== quantisationVersion) {
    cursor.field = "general.quantization_version";
    throw cursor.error(
      `is ${shown(String(blocks))}; only ${quantisationVersion} is known`,
      "Convert the model again with a current llama.cpp.",
    );
  }
}

function alignmentOf(cursor: Cursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const value = metadata.get("general.alignment") ?? defaultAlignment;
  if (
    typeof value === "number" &&
    Number.isInteger(value) &&
    value > 0 &&
    value <= largestAlignment &&
    (value & (value - 1)) === 0
  )
    return value;
  cursor.field = "general.alignment";
  throw cursor.error(`is ${shown(String(value))}, not a power of two up to ${largestAlignment}`);
}
