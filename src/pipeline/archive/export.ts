import { accessSync, constants, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { writeTable } from "../../data/index.ts";
import { syncFolder } from "../../nn/index.ts";
import {
  EnvironmentError,
  loadRecipe,
  type Recipe,
  replaceFile,
  resolvedRecipe,
  resolvedYaml,
} from "../../schema/index.ts";
import {
  heldBy,
  type LedgerReader,
  type Lock,
  type RunTable,
  readLedger,
  runTables,
  type Snapshot,
  takeLock,
} from "../../store/index.ts";
import { explainDisk } from "../disk.ts";
import type { Listener } from "../events.ts";
import { checkInterrupted, runPaths } from "../run.ts";
import { fileColumns, toFileRow } from "./columns.ts";
import { copyFile, isFree, runFiles } from "./files.ts";
import { digestOf, exportPaths, type Manifest } from "./manifest.ts";
import { exportReadme } from "./readme.ts";

export interface ArchiveOptions {
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

export interface ExportOptions extends ArchiveOptions {
  readonly run: string;
  /** Where the export goes; there must be nothing yet. */
  readonly folder: string;
  /** Leave models and checkpoints out. */
  readonly withoutModels?: boolean;
}

/** What an export holds, in counts. */
export interface ArchiveSummary {
  readonly folder: string;
  readonly rows: number;
  readonly files: number;
  readonly bytes: number;
}

/**
 * Writes a whole run into a folder: each table of its ledger as a Parquet file, as of one moment, and the files beside it. The
 * folder appears whole or not at all.
 *
 * @throws LedgerError where there is no run, or a process works on it; EnvironmentError where the folder can't be written;
 * Interrupted on an abort.
 */
export async function exportRun(options: ExportOptions): Promise<ArchiveSummary> {
  const [run, folder] = [resolve(options.run), resolve(options.folder)];
  refuseTaken(folder);
  if (!relative(run, folder).startsWith(".."))
    throw new EnvironmentError("an export can't lie in the run folder itself", {
      file: folder,
      hint: "Name a folder elsewhere.",
    });
  const partial = `${folder}.partial`;
  const reader = await readLedger(run);
  let lock: Lock | undefined;
  try {
    lock = await holdRun(run, reader);
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(exportPaths(partial).files, { recursive: true });
    options.listener.stageStarted("export");
    const began = performance.now();
    const manifest = await writeAll(run, partial, reader, options);
    replaceFile(exportPaths(partial).readme, exportReadme(manifest));
    replaceFile(exportPaths(partial).manifest, `${JSON.stringify(manifest, null, 2)}\n`);
    syncFolder(partial);
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
    syncFolder(dirname(folder));
    options.listener.stageFinished("export", { seconds: (performance.now() - began) / 1000, skipped: false });
    return summaryOf(folder, manifest);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw explainDisk(error, folder);
  } finally {
    await reader.close();
    lock?.release();
  }
}

export function summaryOf(folder: string, { tables, files }: Manifest): ArchiveSummary {
  const written = Object.values(tables);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    folder,
    rows: sum(written.map(({ rows }) => rows)),
    files: files.length,
    bytes: sum([...written, ...files].map(({ bytes }) => bytes)),
  };
}

/** @throws EnvironmentError where something is at a path that is to be made */
export function refuseTaken(folder: string): void {
  if (isFree(folder)) return;
  throw new EnvironmentError("there is something here already", {
    file: folder,
    hint: "Name a new folder, or take this one away.",
  });
}

/** Keeps others from working on the run meanwhile: its models and its ledger must belong together. */
async function holdRun(run: string, reader: LedgerReader): Promise<Lock | undefined> {
  try {
    accessSync(run, constants.W_OK);
  } catch {
    // Where nobody may write, nobody can work.
    return undefined;
  }
  const lock = takeLock(run);
  if (lock === undefined) throw heldBy(run, await reader.writer());
  return lock;
}

async function writeAll(
  run: string,
  partial: string,
  reader: LedgerReader,
  { withoutModels = false, ...around }: ExportOptions,
): Promise<Manifest> {
  const ledger = await reader.snapshot((snapshot) => writeTables(partial, snapshot, around));
  const recipe = recipeOf(run);
  const paths = runFiles(run, recipe, !withoutModels);
  const target = exportPaths(partial).files;
  for (const path of paths) {
    checkInterrupted(around);
    copyFile(join(run, path), join(target, path));
  }
  // Where the ledger lies is no part of what the run is.
  if (recipe?.ledger !== undefined)
    replaceFile(join(target, "recipe.yaml"), resolvedYaml({ ...recipe, ledger: undefined }));
  const files: Manifest["files"] = [];
  let bytes = 0;
  for (const path of paths) {
    checkInterrupted(around);
    const written = await digestOf(join(target, path), () => {});
    bytes += written.bytes;
    files.push({ path, ...written });
    around.listener.progress({ stage: "export", label: "files", done: bytes, total: bytes, unit: "bytes" });
  }
  return { format: "amalgam-run", version: 1, ...ledger, files };
}

/** The run's own recipe; undefined where a program has made the run without one. */
function recipeOf(run: string): Recipe | undefined {
  const file = runPaths(run).recipe;
  return existsSync(file) ? resolvedRecipe(loadRecipe(file).recipe, run, run) : undefined;
}

async function writeTables(
  partial: string,
  snapshot: Snapshot,
  around: ArchiveOptions,
): Promise<Pick<Manifest, "schema" | "tables">> {
  const names = Object.keys(runTables) as RunTable[];
  let total = 0;
  for (const name of names) total += await snapshot.count(name);
  let done = 0;
  const tables: Manifest["tables"] = {};
  for (const name of names) {
    const file = exportPaths(partial).table(name);
    const table = writeTable(file, fileColumns(name));
    let rows = 0;
    for await (const page of snapshot.rows(name)) {
      checkInterrupted(around);
      table.add(page.map((row) => toFileRow(name, row)));
      rows += page.length;
      done += page.length;
      around.listener.progress({ stage: "export", label: "the ledger", done, total, unit: "rows" });
    }
    table.finish();
    tables[name] = { rows, ...(await digestOf(file, () => {})) };
  }
  return { schema: snapshot.schema, tables };
}
