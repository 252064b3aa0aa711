import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EnvironmentError } from "../schema/index.ts";

/** Texts in a temporary file, read one by one; 8 bytes of memory for each. */
export interface SpooledTexts {
  readonly length: number;
  at(index: number): string | undefined;
  add(text: string): void;
  /** Removes the file. */
  close(): void;
}

/**
 * `instead`: what to do to go without them, for the error's hint.
 * @throws EnvironmentError where the folder for temporary files has no room
 */
export function spooledTexts(instead: string): SpooledTexts {
  const folder = mkdtempSync(join(tmpdir(), "amalgam-texts-"));
  const file = openSync(join(folder, "texts"), "w+");
  let ends = new Float64Array(1024);
  let count = 0;
  const begin = (index: number) => (index === 0 ? 0 : ends[index - 1]!);
  return {
    get length() {
      return count;
    },
    at(index) {
      if (index >= count) return undefined;
      const bytes = Buffer.alloc(ends[index]! - begin(index));
      readSync(file, bytes, 0, bytes.length, begin(index));
      return bytes.toString("utf8");
    },
    add(text) {
      const bytes = Buffer.from(text);
      const start = begin(count);
      try {
        for (let done = 0; done < bytes.length; )
          done += writeSync(file, bytes, done, bytes.length - done, start + done);
      } catch (cause) {
        throw new EnvironmentError(`the texts to compare can't be written: ${(cause as Error).message}`, {
          file: folder,
          cause,
          hint: `Make room there, name another folder by TMPDIR, or ${instead}.`,
        });
      }
      if (count === ends.length) {
        const wider = new Float64Array(ends.length * 2);
        wider.set(ends);
        ends = wider;
      }
      ends[count] = start + bytes.length;
      count += 1;
    },
    close() {
      closeSync(file);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
