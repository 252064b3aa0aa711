import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { DataError, type JsonLine, utf8Text } from "../schema/index.ts";

const [quote, backslash, newline, comma] = [0x22, 0x5c, 0x0a, 0x2c];
const opening = new Set([0x5b, 0x7b]);
const closing = new Set([0x5d, 0x7d]);
const isSpace = (byte: number) => byte === 0x20 || byte === 0x09 || byte === newline || byte === 0x0d;
const byteOrderMark = [0xef, 0xbb, 0xbf];

/** Whether a file holds one JSON list: the first sign in it is `[`. False where it can't be read, which its reader will tell. */
export async function isJsonArray(file: string): Promise<boolean> {
  const handle = await open(file).catch(() => undefined);
  if (handle === undefined) return false;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
    return buffer.subarray(0, bytesRead).find((byte) => !isSpace(byte) && !byteOrderMark.includes(byte)) === 0x5b;
  } finally {
    await handle.close();
  }
}

/**
 * The elements of a file that is one JSON list, one in memory at a time; `line` is where an element begins. `read` makes the value
 * of an element's text. Throws DataError with file and line where the list breaks off or an element is no JSON; the latter
 * goes to `skip`, where there is one.
 */
export async function* readJsonArray(
  file: string,
  read: (text: string) => unknown = JSON.parse,
  skip?: (bad: DataError) => void,
): AsyncGenerator<JsonLine> {
  for await (const { line, bytes } of elementsOf(file)) {
    const text = utf8Text(bytes);
    let value: unknown;
    try {
      if (text === undefined)
        throw new DataError("this row is not UTF-8", { file, line, hint: "Save the file as UTF-8." });
      value = parsed(text, read, file, line);
    } catch (error) {
      if (skip === undefined || !(error instanceof DataError)) throw error;
      skip(error);
      continue;
    }
    yield { line, value };
  }
}

function parsed(text: string, read: (text: string) => unknown, file: string, line: number): unknown {
  try {
    return read(text);
  } catch (cause) {
    const reason = text.trim() === "" ? "there is nothing between two commas" : (cause as Error).message;
    throw new DataError(`this row is not JSON: ${reason}`, { file, line, cause });
  }
}

interface Element {
  readonly line: number;
  readonly bytes: Buffer;
}

/** The bytes of each element, found by brackets, quotes and commas alone. */
async function* elementsOf(file: string): AsyncGenerator<Element> {
  let line = 1;
  let startLine: number | undefined;
  let depth = 0;
  let [quoted, escaped, more] = [false, false, false];
  let kept: Buffer[] = [];
  const broken = (what: string) =>
    new DataError(what, {
      file,
      line,
      hint: "The file is one JSON list: [{...}, {...}]. Write it again, or as JSONL.",
    });
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    let start = depth > 0 ? 0 : -1;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at]!;
      if (byte === newline) line += 1;
      if (quoted) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) quoted = false;
        continue;
      }
      if (depth === 0) {
        if (isSpace(byte) || byteOrderMark.includes(byte)) continue;
        if (byte !== 0x5b || more) throw broken("something stands after the end of the list");
        [depth, more, start] = [1, true, at + 1];
        continue;
      }
      if (startLine === undefined && !isSpace(byte) && byte !== comma) startLine = line;
      if (byte === quote) quoted = true;
      else if (opening.has(byte)) depth += 1;
      else if (closing.has(byte)) depth -= 1;
      if (!(depth === 0 || (depth === 1 && byte === comma))) continue;
      const bytes = Buffer.concat([...kept, chunk.subarray(start, at)]);
      // An empty list has no element, and a comma before the end is no row either.
      if (depth > 0 || bytes.some((inner) => !isSpace(inner))) yield { line: startLine ?? line, bytes };
      [kept, startLine, start] = [[], undefined, at + 1];
    }
    if (depth > 0 && start >= 0) kept.push(chunk.subarray(start));
  }
  if (depth > 0) throw broken("the list breaks off: its end is missing");
}
