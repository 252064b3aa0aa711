import { existsSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Arguments } from "./arguments.ts";
import { UsageError } from "./usage-error.ts";

type Named = Pick<Arguments, "target" | "command" | "recipe">;

/** Whether a folder is a run's. */
export const isRun = (folder: string): boolean =>
  ["recipe.yaml", "run.db", "ledger.json"].some((name) => existsSync(join(folder, name)));

/** The run folder: as named, else the current folder if it is one. Throws UsageError where a file is named, or nothing. */
export function runFolder(given: Named): string {
  const folder = runFolderIfAny(given);
  if (folder !== undefined) return folder;
  throw new UsageError(
    `name the run folder: amalgam ${given.command} FOLDER`,
    "The current folder holds neither a recipe.yaml nor a run.db.",
  );
}

/** The same for a command that can do without one. */
export function runFolderIfAny(given: Named): string | undefined {
  refuseFile(given);
  return given.target ?? (isRun(".") ? "." : undefined);
}

/** @throws UsageError where a file is named in place of a folder, with the command line that was probably meant. */
export function refuseFile({ target, command, recipe }: Named): void {
  if (target === undefined || statSync(target, { throwIfNoEntry: false })?.isFile() !== true) return;
  throw new UsageError(`${target} is a file, and ${command} wants a folder`, meant(target, command, recipe));
}

function meant(file: string, command: Named["command"], recipe: string | undefined): string {
  if (command === "init") return "Name a new folder: amalgam init FOLDER";
  if (command === "sweep") return "The sweep stands before the folder: amalgam sweep SWEEP.yaml FOLDER";
  const folder = dirname(file);
  if (["recipe.yaml", "run.db"].includes(basename(file)) && existsSync(join(folder, "run.db")))
    return `Name the run folder itself: amalgam ${command} ${folder}`;
  if (!/\.ya?ml$/i.test(file) || recipe !== undefined) return `Name the run folder: amalgam ${command} FOLDER`;
  if (command === "doctor") return `A recipe is named so: amalgam doctor --recipe ${file}`;
  if (command === "status" || command === "chat")
    return `Name the folder that \`amalgam run FOLDER --recipe ${file}\` was given: amalgam ${command} FOLDER`;
  return `A recipe is named so: amalgam ${command} FOLDER --recipe ${file}`;
}
