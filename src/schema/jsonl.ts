import { createReadStream } from "node:fs";
import { DataError } from "./errors.ts";
import { utf8Text } from "./utf8.ts";

export interface JsonLine {
  /** Counted from 1, blank lines included. */
  readonly line: number;
  readonly value: unknown;
}

/**
 * The values of a JSONL file, line by line; blank lines are passed over. `read` makes the value of a line, where that is not plain JSON. Throws DataError, with file and line, for a line
 * that is not UTF-8 or not JSON, unless `skip` takes the error; and for a file that can't be read.
 */
export async function* readJsonLines(
  file: string,
  read: (text: string) => unknown = JSON.parse,
  skip?: (bad: DataError) => void,
): AsyncGenerator<JsonLine> {
  let line = 0;
  for await (const bytes of byteLines(file)) {
    line += 1;
    let value: unknown;
    try {
      const text = decode(bytes, file, line);
      if (text.trim() === "") continue;
      value = parse(text, file, line, read);
    } catch (error) {
      if (skip === undefined || !(error instanceof DataError)) throw error;
      skip(error);
      continue;
    }
    yield { line, value };
  }
}

async function* byteLines(file: string): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      let start = 0;
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
        yield Buffer.concat([...rest, chunk.subarray(start, end)]);
        rest = [];
        start = end + 1;
      }
      rest.push(chunk.subarray(start));
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new DataError(code === "ENOENT" ? "there is no such file" : `the file can't be read (${code})`, {
      file,
      cause: error,
      hint: "Check the path, and who may read it; a path in a recipe is relative to the recipe's own folder.",
    });
  }
  const last = Buffer.concat(rest);
  if (last.length > 0) yield last;
}

function decode(bytes: Buffer, file: string, line: number): string {
  const text = utf8Text(bytes);
  if (text !== undefined) return text;
  throw new DataError("this line is not UTF-8", { file, line, hint: "Save the file as UTF-8." });
}

function parse(text: string, file: string, line: number, read: (text: string) => unknown): unknown {
  try {
    return read(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DataError(`this line is not JSON: ${reason}`, { file, line, hint: hintOf(text) });
  }
}

function hintOf(text: string): string {
  if (/\b(?:NaN|Infinity)\b/.test(text))
    return "NaN and Infinity are no JSON, whatever Python writes: null stands for a number that there isn't.";
  return /^\s*[[{]\s*$/.test(text)
    ? "It goes on over several lines. Write one JSON object a line: `jq -c '.[]' FILE` makes them of a list, `jq -c . FILE` of objects."
    : "Every line of a .jsonl file is one JSON object; text with line breaks needs \\n inside its quotes.";
}
