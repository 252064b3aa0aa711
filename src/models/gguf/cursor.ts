import { isUtf8 } from "node:buffer";
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { ModelError } from "../../schema/index.ts";

const windowBytes = 1 << 20;
/** Everything before the tensors' data; the largest vocabularies in use take a tenth of it. */
const headerLimit = 128 << 20;
const stringLimit = 16 << 20;

export const damaged = "The file is damaged or was cut short: fetch or convert it again.";

/** Reads a file from its start, trusting no length in it: each is held to the file's size before memory is taken. */
export interface Cursor {
  readonly file: string;
  readonly size: number;
  /** What is being read, for errors. */
  field: string | undefined;
  position(): number;
  uint32(what: string): number;
  /** A 64-bit count or length, of things of at least `width` bytes: all of them must still fit into the header. */
  count(what: string, width: number): number;
  /** A 64-bit number as it is. */
  uint64(what: string): bigint;
  string(what: string, limit?: number): string;
  /** The next `bytes` of the file as a view, valid until the next read. */
  view(bytes: number, what: string): DataView;
  /** Fills `target` with the next bytes. */
  fill(target: Uint8Array, what: string): void;
  /** The error for what was just read. @param at where in the file; the present position if left out */
  error(message: string, hint?: string, at?: number): ModelError;
}

/** Text from the file as it may be shown: one line, of bounded length. */
export const shown = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);

/**
 * Opens `file`, hands its cursor to `read`, and closes it.
 * @throws ModelError when there is no such file, or it can't be opened.
 */
export function withCursor<T>(file: string, read: (cursor: Cursor) => T): T {
  const descriptor = open(file);
  try {
    return read(makeCursor(descriptor, file));
  } finally {
    closeSync(descriptor);
  }
}

function open(file: string): number {
  try {
    // Opening a pipe would wait for its writer.
    if (!statSync(file).isFile()) throw new ModelError("is not a file", { file, hint: "Name the .gguf file itself." });
    return openSync(file, "r");
  } catch (cause) {
    if (cause instanceof ModelError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    const message = code === "ENOENT" ? "there is no such file" : `can't be opened (${code})`;
    throw new ModelError(message, { file, hint: "Check the path and its permissions.", cause });
  }
}

function makeCursor(descriptor: number, file: string): Cursor {
  const size = fstatSync(descriptor).size;
  let window = Buffer.alloc(Math.min(windowBytes, size));
  let windowStart = 0;
  let windowLength = 0;
  let position = 0;

  const error: Cursor["error"] = (message, hint = damaged, at = position) =>
    new ModelError(`${message} (at byte ${at})`, {
      file,
      hint,
      ...(cursor.field === undefined ? {} : { field: cursor.field }),
    });

  const expect = (bytes: number, what: string): void => {
    if (bytes > size - position)
      throw error(`the file ends within ${what}: ${bytes} bytes are needed, ${size - position} are left`);
    if (position + bytes > headerLimit)
      throw error(
        `metadata and tensor list take more than ${headerLimit >> 20} MiB`,
        "No model needs that much: the file is damaged or hostile.",
      );
  };

  const readAt = (target: Uint8Array, what: string) => {
    for (let done = 0; done < target.length; ) {
      const got = readSync(descriptor, target, done, target.length - done, position + done);
      if (got === 0) throw error(`the file became shorter while ${what} was read`);
      done += got;
    }
  };

  /** Makes the next `bytes` lie in the window. @returns where in it they start */
  const need = (bytes: number, what: string): number => {
    expect(bytes, what);
    if (position < windowStart || position + bytes > windowStart + windowLength) {
      if (bytes > window.length) window = Buffer.alloc(bytes);
      windowLength = Math.min(window.length, size - position);
      readAt(window.subarray(0, windowLength), what);
      windowStart = position;
    }
    const at = position - windowStart;
    position += bytes;
    return at;
  };

  const cursor: Cursor = {
    file,
    size,
    field: undefined,
    position: () => position,
    uint32: (what) => window.readUInt32LE(need(4, what)),
    uint64: (what) => window.readBigUInt64LE(need(8, what)),
    count(what, width) {
      const at = position;
      const value = cursor.uint64(what);
      const left = size - position;
      if (value > BigInt(Math.floor(left / width)))
        throw error(`${what} is ${value}, more than the ${left} bytes left in the file can hold`, damaged, at);
      expect(Number(value) * width, what);
      return Number(value);
    },
    string(what, limit = stringLimit) {
      const length = cursor.count(`the length of ${what}`, 1);
      if (length > limit)
        throw error(`${what} is ${length} bytes long, more than the ${limit} allowed`, damaged, position - 8);
      const at = need(length, what);
      const bytes = window.subarray(at, at + length);
      if (!isUtf8(bytes)) throw error(`${what} is not UTF-8`, damaged, position - length);
      return bytes.toString("utf8");
    },
    view(bytes, what) {
      const at = need(bytes, what);
      return new DataView(window.buffer, window.byteOffset + at, bytes);
    },
    fill(target, what) {
      expect(target.length, what);
      readAt(target, what);
      position += target.length;
    },
    error,
  };
  return cursor;
}
