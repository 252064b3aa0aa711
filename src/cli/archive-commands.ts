import { formatBytes } from "../models/index.ts";
import { type ArchiveSummary, exportRun, importRun } from "../pipeline/index.ts";
import type { Arguments } from "./arguments.ts";
import type { Surroundings } from "./execute.ts";
import { refuseFile } from "./run-folder.ts";
import { UsageError } from "./usage-error.ts";

type Named = Pick<Arguments, "target" | "destination" | "command" | "recipe">;

function bothFolders(given: Named, usage: string): [from: string, to: string] {
  const { target, destination } = given;
  if (target === undefined || destination === undefined) throw new UsageError(`name both folders: amalgam ${usage}`);
  refuseFile(given);
  refuseFile({ ...given, target: destination });
  return [target, destination];
}

const summaryText = ({ rows, files, bytes, folder }: ArchiveSummary): string =>
  `${rows} rows and ${files} other files (${formatBytes(bytes)}) in ${folder}`;

export async function exportCommand(given: Arguments, { signal, printer, print }: Surroundings): Promise<void> {
  const [run, folder] = bothFolders(given, "export RUN FOLDER");
  const { withoutModels } = given;
  const summary = await exportRun({ run, folder, withoutModels, signal, listener: printer });
  printer.clear();
  print(`Exported: ${summaryText(summary)}\nA run again: amalgam import ${folder} NEW-RUN`);
}

export async function importCommand(given: Arguments, { signal, printer, print }: Surroundings): Promise<void> {
  const [folder, run] = bothFolders(given, "import FOLDER RUN");
  const summary = await importRun({ folder, run, overrides: given.set, signal, listener: printer });
  printer.clear();
  print(`Imported: ${summaryText(summary)}\nNext: amalgam status ${run}, and amalgam run ${run}`);
}
