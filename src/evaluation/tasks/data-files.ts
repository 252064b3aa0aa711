import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { filesOf, readDataFile } from "../../data/index.ts";
import { DataError } from "../../schema/index.ts";
import type { Task } from "./task.ts";

/** A row with the place it stands at. */
export interface FileRow {
  readonly file: string;
  readonly line: number;
  readonly value: unknown;
}

/** Under what names a split's files are found, beside the split's own. */
const otherNames: Readonly<Record<string, readonly string[]>> = {
  validation: ["valid", "val", "dev"],
  dev: ["validation", "val"],
  train: ["training"],
};
const endings = ["jsonl", "ndjson", "json", "parquet", "csv", "tsv", "arrow"];

export const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/**
 * The files of a split of the folder: those of its name, within the folder of the task's configuration where there is one; else those that
 * the data set's README or the names of files say. Throws DataError that says what was looked for.
 */
export function splitFiles(task: Pick<Task, "name" | "config" | "files">, folder: string, split: string): string[] {
  const { config, files = {} } = task;
  const within = config === undefined ? undefined : join(folder, config);
  const root = within !== undefined && isFolder(within) ? within : folder;
  const names = [split, ...(otherNames[split] ?? [])];
  const stems = [...names, ...(files[split] ?? [])];
  for (const stem of stems)
    for (const ending of endings) {
      const file = join(root, `${stem}.${ending}`);
      if (existsSync(file)) return [file];
    }
  const configs = root === folder && config !== undefined ? [config, undefined] : [undefined];
  for (const one of configs)
    for (const name of names) {
      try {
        return filesOf(root, { split: name, config: one });
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
      }
    }
  throw new DataError(`${task.name} finds no data of the split ${split}`, {
    file: folder,
    hint: `It looked for ${stems.join(", ")} with the ending .jsonl, .json, .parquet or .csv${within === undefined ? "" : `, in the folder ${config} too`}, and for a copy of the hub's data set.`,
  });
}

/** The rows of a split: of the folder's, or all of a file. */
export async function* splitRows(task: Task, path: string, split: string): AsyncGenerator<FileRow> {
  const own = task.rows?.(path, split);
  if (own !== undefined) {
    yield* own;
    return;
  }
  for (const file of isFolder(path) ? splitFiles(task, path, split) : [path])
    for await (const { line, value } of readDataFile(file)) yield { file, line, value };
}
