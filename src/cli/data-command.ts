import { statSync } from "node:fs";
import { checkFile } from "../pipeline/index.ts";
import type { Arguments } from "./arguments.ts";
import { dataCheckText } from "./data-text.ts";
import type { ExitCode, Surroundings } from "./execute.ts";
import { UsageError } from "./usage-error.ts";

/** `amalgam data check FILE`. */
export async function dataCommand(given: Arguments, { signal, printer, print }: Surroundings): Promise<ExitCode> {
  const { target: file, json } = given;
  const { against, ngram, nearDuplicates, maxCharacters } = given.data!;
  if (file === undefined) throw new UsageError("name the file to check: amalgam data check FILE");
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true)
    throw new UsageError(`${file} is a folder, and data check wants a file`, "Name the data files in it, one by one.");
  const options = { against, ngram, nearDuplicates, maxCharacters, signal, listener: printer };
  const found = await checkFile(file, options);
  printer.clear();
  print(json ? JSON.stringify(found, null, 2) : dataCheckText(found));
  return Object.keys(found.problems).length > 0 ? 1 : 0;
}
