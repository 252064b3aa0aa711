import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, renameSync, writeSync } from "node:fs";
import type { TextRow } from "./rows.ts";

/** A row as it was read, with the place that it was read from. */
export interface PlacedRow extends TextRow {
  readonly file: string;
  readonly line: number;
}

/** Rows on the disk, read one at a time: memory holds only where each begins. */
export interface RowFile {
  readonly count: number;
  /** Digest of what is to be learnt, in its order: names and places don't count. */
  readonly digest: string;
  /** Rows that say just what an earlier one says. */
  readonly repeated: number;
  read(index: number): PlacedRow;
  /** Tells prompts apart: a digest of the messages and tools. */
  promptOf(index: number): string;
  bytesOf(index: number): number;
  close(): void;
}

const flushBytes = 1 << 20;

/** Writes rows into a file of their own, whole or not at all, and opens it. Free with `close`. */
export async function writeRowFile(path: string, rows: AsyncIterable<PlacedRow>): Promise<RowFile> {
  const ends: number[] = [];
  const whole = createHash("sha256");
  const seen = new Set<string>();
  const prompts: string[] = [];
  const sha256 = (value: unknown) => createHash("sha256").update(JSON.stringify(value)).digest("base64");
  const partial = `${path}.partial`;
  const writing = openSync(partial, "w");
  try {
    let pending: Buffer[] = [];
    let pendingBytes = 0;
    let end = 0;
    const flush = () => {
      const bytes = Buffer.concat(pending);
      for (let at = 0; at < bytes.length; ) at += writeSync(writing, bytes, at);
      [pending, pendingBytes] = [[], 0];
    };
    for await (const row of rows) {
      const { messages, responses, tools, roles } = row;
      const prompt = sha256([messages, tools ?? null]);
      const digest = sha256([prompt, responses, roles ?? null]);
      prompts.push(prompt.slice(0, 22));
      whole.update(digest);
      seen.add(digest);
      const bytes = Buffer.from(`${JSON.stringify(row)}\n`);
      pending.push(bytes);
      pendingBytes += bytes.length;
      end += bytes.length;
      ends.push(end);
      if (pendingBytes > flushBytes) flush();
    }
    flush();
  } finally {
    closeSync(writing);
  }
  renameSync(partial, path);
  const reading = openSync(path, "r");
  const startOf = (index: number) => (index === 0 ? 0 : ends[index - 1]!);
  return {
    count: ends.length,
    digest: whole.digest("hex").slice(0, 32),
    repeated: ends.length - seen.size,
    read(index) {
      const start = startOf(index);
      const bytes = Buffer.allocUnsafe(ends[index]! - start);
      readSync(reading, bytes, 0, bytes.length, start);
      return JSON.parse(bytes.toString()) as PlacedRow;
    },
    promptOf: (index) => prompts[index]!,
    bytesOf: (index) => ends[index]! - startOf(index),
    close: () => closeSync(reading),
  };
}
