import { once } from "node:events";
import { statSync } from "node:fs";
import { holdsData } from "../data/index.ts";
import { inspectTexts, inspectToPage, isSweep } from "../pipeline/index.ts";
import type { Arguments } from "./arguments.ts";
import type { Surroundings } from "./execute.ts";
import { isRun, runFolder } from "./run-folder.ts";
import { UsageError } from "./usage-error.ts";

/** `amalgam inspect`: texts to standard output, or a page. */
export async function inspectCommand(given: Arguments, { signal, printer, print }: Surroundings): Promise<0> {
  const { page, split, ...what } = given.inspect!;
  const { target } = given;
  const kind = target !== undefined && isData(target) ? "data" : "run";
  if (kind === "run" && split !== undefined)
    throw new UsageError("--split belongs to the folder of a data set, and this is none");
  const path = kind === "data" ? target! : runFolder(given);
  const options = { ...what, path, split, kind, signal, listener: printer } as const;
  if (page !== undefined) {
    const { embedded, leftOut } = await inspectToPage(options, page);
    printer.clear();
    print(`${embedded} prompts in ${page}${leftOut === 0 ? "" : `; ${leftOut} are not on it, as it says`}`);
    return 0;
  }
  let shown = 0;
  for await (const text of inspectTexts(options)) {
    printer.clear();
    shown += 1;
    // A pager that waits holds the reading up, so that nothing piles up in memory.
    if (!process.stdout.write(`${text}\n`)) await once(process.stdout, "drain");
  }
  printer.clear();
  if (shown === 0) print("No prompt is one of these.");
  return 0;
}

/** Whether this is a data file by its name, or a folder with data that is neither a run nor a sweep. */
function isData(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true)
    return /\.(jsonl|ndjson|json|parquet|arrow|csv|tsv)$/i.test(path);
  return !isRun(path) && !isSweep(path) && holdsData(path);
}
