import { renameSync, writeFileSync } from "node:fs";

/** Writes a file whole or not at all, over the one that is there, even where the power fails. Throws the system's error. */
export function replaceFile(file: string, text: string): void {
  writeFileSync(`${file}.partial`, text, { flush: text !== "" });
  renameSync(`${file}.partial`, file);
}
