import { closeSync, openSync, readSync } from "node:fs";

// The value types of GGUF version 3, by number.
const fixed: Readonly<Record<number, readonly [bytes: number, read: (view: DataView, at: number) => unknown]>> = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at) => view.getUint16(at, true)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [4, (view, at) => view.getUint32(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getFloat32(at, true)],
  7: [1, (view, at) => view.getUint8(at) !== 0],
  10: [8, (view, at) => Number(view.getBigUint64(at, true))],
  11: [8, (view, at) => Number(view.getBigInt64(at, true))],
  12: [8, (view, at) => view.getFloat64(at, true)],
};
const stringType = 8;
const arrayType = 9;

/**
 * The key/value section of a whole, well-formed GGUF file: for tests only. The product's reader, which trusts nothing,
 * is in the room `models`, which this room may not import.
 */
export function readGgufMetadata(path: string, bytes = 64 << 20): Map<string, unknown> {
  const buffer = Buffer.alloc(bytes);
  const file = openSync(path, "r");
  const size = readSync(file, buffer, 0, bytes, 0);
  closeSync(file);
  const view = new DataView(buffer.buffer, buffer.byteOffset, size);
  if (buffer.toString("latin1", 0, 4) !== "GGUF") throw new Error(`${path} is no GGUF file`);
  let at = 16;

  const count = () => {
    const value = Number(view.getBigUint64(at, true));
    at += 8;
    return value;
  };
  const type = () => {
    const value = view.getUint32(at, true);
    at += 4;
    return value;
  };
  const string = () => {
    const length = count();
    at += length;
    return buffer.toString("utf8", at - length, at);
  };
  const value = (kind: number): unknown => {
    if (kind === stringType) return string();
    if (kind === arrayType) {
      const item = type();
      return Array.from({ length: count() }, () => value(item));
    }
    const [width, read] = fixed[kind]!;
    at += width;
    return read(view, at - width);
  };

  const metadata = new Map<string, unknown>();
  for (let remaining = count(); remaining > 0; remaining--) {
    const key = string();
    metadata.set(key, value(type()));
  }
  return metadata;
}
