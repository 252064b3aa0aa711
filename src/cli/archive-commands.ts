import { formatBytes } from "../models/index.ts";
import { type ArchiveSummary, collectRun, exportDataset, exportRun, importRun } from "../pipeline/index.ts";
import type { Arguments } from "./arguments.ts";
import type { Surroundings } from "./execute.ts";
import { table } from "./format.ts";
import { refuseFile, runFolder } from "./run-folder.ts";
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
  if (given.form === "dataset") {
    const { rows } = await exportDataset({ run, folder, signal, listener: printer });
    printer.clear();
    const counts = Object.entries(rows).map(([part, count]) => `${part} ${count}`);
    print(
      `A data set: ${counts.join(" and ")} rows in ${folder}\nIn Python: load_dataset("${folder}", "${Object.keys(rows)[0]}")`,
    );
    return;
  }
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

export async function gcCommand(given: Arguments, { signal, printer, print }: Surroundings): Promise<void> {
  const { dryRun, offline } = given;
  const { removed, files, size } = await collectRun({
    folder: runFolder(given),
    dryRun,
    offline,
    signal,
    listener: printer,
  });
  printer.clear();
  const verb = dryRun ? "Would be removed" : "Removed";
  const rows = removed.map(({ table, rows: count, bytes }) => [table, String(count), formatBytes(bytes)]);
  print(rows.length === 0 ? "No row that the recipe does not refer to." : `${verb}:`);
  if (rows.length > 0) print(table(["Table", "Rows", "Texts"], rows).join("\n"));
  if (files.length > 0) print(`${verb}: ${files.join(", ")}`);
  if (size !== undefined) print(`The ledger's file: ${formatBytes(size.before)}, now ${formatBytes(size.after)}`);
}
