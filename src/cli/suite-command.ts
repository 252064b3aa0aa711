import { statSync } from "node:fs";
import { evaluateSuite } from "../pipeline/index.ts";
import type { Arguments } from "./arguments.ts";
import type { Surroundings } from "./execute.ts";
import type { SuiteArguments } from "./suite-arguments.ts";
import { suiteText } from "./suite-text.ts";
import { UsageError } from "./usage-error.ts";

/** `amalgam evaluate MODEL... --suite SUITE --output FOLDER`. */
export async function suiteCommand(
  { set, offline, json }: Arguments,
  { models, suite, output, data }: SuiteArguments,
  { signal, printer, print }: Surroundings,
): Promise<void> {
  const kindOf = (path: string) => statSync(path, { throwIfNoEntry: false });
  if (kindOf(output)?.isFile() === true) throw new UsageError(`${output} is a file, and --output names a folder`);
  if (data !== undefined && kindOf(data)?.isDirectory() !== true)
    throw new UsageError(`--data ${data}: there is no such folder`);
  const { leaderboard: board } = await evaluateSuite({
    models,
    suite,
    folder: output,
    dataFolder: data,
    overrides: set,
    signal,
    listener: printer,
    offline,
  });
  printer.clear();
  print(json ? JSON.stringify(board, null, 2) : suiteText(board, output));
}
