import { renameSync, writeFileSync } from "node:fs";

/** Writes a file as a whole or not at all, over the one that is there. Throws the system's error. */
export function replaceFile(file: string, text: string): void {
  writeFileSync(`${file}.partial`, text);
  renameSync(`${file}.partial`, file);
}
