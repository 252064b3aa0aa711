import { open, rename, rm } from "node:fs/promises";
import { AmalgamError, EnvironmentError } from "../schema/index.ts";
import type { Stream } from "./select.ts";

/** Writes items as the rows of a JSONL file, which is there whole or not at all. Throws EnvironmentError where it can't be written. */
export async function writeRows<Item>(file: string, items: Stream<Item>, toRow: (item: Item) => object): Promise<void> {
  const unfinished = `${file}.${process.pid}.part`;
  try {
    const handle = await open(unfinished, "w");
    try {
      for await (const item of items) await handle.write(`${JSON.stringify(toRow(item))}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true });
    if (error instanceof AmalgamError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new EnvironmentError(`the rows can't be written: ${reason}`, {
      file,
      hint: "Check that the folder exists, that you may write there, and that the disk is not full.",
      cause: error,
    });
  }
}
