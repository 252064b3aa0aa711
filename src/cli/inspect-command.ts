import { once } from "node:events";
import { statSync } from "node:fs";
import { inspectTexts, inspectToPage } from "../pipeline/index.ts";
import type { Arguments } from "./arguments.ts";
import type { Surroundings } from "./execute.ts";
import { runFolder } from "./run-folder.ts";

/** `amalgam inspect`: texts to standard output, or a page. */
export async function inspectCommand(given: Arguments, { signal, printer, print }: Surroundings): Promise<0> {
  const { page, ...what } = given.inspect!;
  const { target } = given;
  const isFile =
    target !== undefined && statSync(target, { throwIfNoEntry: false })?.isDirectory() !== true && isData(target);
  const path = isFile ? target : runFolder(given);
  const options = { ...what, path, kind: isFile ? "file" : "run", signal, listener: printer } as const;
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

const isData = (path: string) => /\.(jsonl|ndjson|json|parquet|arrow|csv|tsv)$/i.test(path);
