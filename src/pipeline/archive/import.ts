import { existsSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { readTable } from "../../data/index.ts";
import { syncFolder } from "../../nn/index.ts";
import {
  AmalgamError,
  amended,
  DataError,
  type LedgerRecipe,
  loadRecipe,
  RecipeError,
  replaceFile,
  resolvedRecipe,
  resolvedYaml,
} from "../../schema/index.ts";
import {
  type InsertRows,
  type Ledger,
  makeRunFolder,
  newestSchema,
  openLedger,
  type RunTable,
  runTables,
  type StoredRow,
} from "../../store/index.ts";
import { explainDisk } from "../disk.ts";
import { checkInterrupted, runPaths } from "../run.ts";
import { fileColumns, toStoredRow } from "./columns.ts";
import { type ArchiveOptions, type ArchiveSummary, refuseTaken, summaryOf } from "./export.ts";
import { copyFile } from "./files.ts";
import { checkFile, exportPaths, type Manifest, readManifest } from "./manifest.ts";

export interface ImportOptions extends ArchiveOptions {
  /** The folder that `exportRun` has written. */
  readonly folder: string;
  /** The run folder to make; there must be nothing yet. */
  readonly run: string;
  /** `ledger.FIELD=VALUE`: a PostgreSQL database for the ledger, in place of a file of the run folder. */
  readonly overrides?: readonly string[];
}

/**
 * Makes a run of an export, with exactly the rows that were exported. The run folder appears whole or not at all; a shared ledger is
 * filled in one transaction.
 *
 * @throws DataError where the export is damaged or another Amalgam's; LedgerError where the ledger holds a run already; Interrupted on
 * an abort.
 */
export async function importRun(options: ImportOptions): Promise<ArchiveSummary> {
  const [folder, run] = [resolve(options.folder), resolve(options.run)];
  const { listener, overrides = [] } = options;
  const manifest = readManifest(folder);
  refuseTaken(run);
  listener.stageStarted("import");
  const began = performance.now();
  await checkAll(folder, manifest, options);
  const partial = `${run}.partial`;
  const killed = existsSync(join(partial, "ledger.json"));
  rmSync(partial, { recursive: true, force: true });
  try {
    makeRunFolder(partial);
    for (const { path } of manifest.files) {
      checkInterrupted(options);
      copyFile(join(exportPaths(folder).files, path), join(partial, path));
    }
    const shared = overrides.length === 0 ? undefined : ledgerFrom(partial, overrides);
    const ledger = await openLedger(partial, { shared, schema: manifest.schema });
    try {
      // One that was killed may have filled a shared ledger already.
      if (!killed || !(await isFilled(ledger, manifest))) await fill(ledger, folder, manifest, options);
    } finally {
      await ledger.close();
    }
    // An earlier schema is brought up to date as that of any run is.
    if (manifest.schema < newestSchema) await (await openLedger(partial, { shared })).close();
    rmSync(join(partial, "run.lock"), { force: true });
    syncFolder(partial);
    rmSync(run, { recursive: true, force: true });
    renameSync(partial, run);
    syncFolder(dirname(run));
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw explainDisk(error, run);
  }
  listener.stageFinished("import", { seconds: (performance.now() - began) / 1000, skipped: false });
  return summaryOf(run, manifest);
}

/** Holds all files to the manifest, before anything is made. */
async function checkAll(folder: string, manifest: Manifest, around: ArchiveOptions): Promise<void> {
  const { tables, files } = manifest;
  const paths = exportPaths(folder);
  const all = [
    ...tableNames.map((name) => ({ file: paths.table(name), written: tables[name] })),
    ...files.map(({ path, ...written }) => ({ file: join(paths.files, path), written })),
  ];
  const total = all.reduce((sum, { written }) => sum + (written?.bytes ?? 0), 0);
  let done = 0;
  for (const { file, written } of all) {
    if (written === undefined)
      throw new DataError(`the manifest says nothing of the table ${basename(file, ".parquet")}`, {
        file: paths.manifest,
        field: "tables",
        hint: "Take the export as it was written.",
      });
    await checkFile(file, written, (bytes) => {
      checkInterrupted(around);
      done += bytes;
      around.listener.progress({ stage: "import", label: "checking", done, total, unit: "bytes" });
    });
  }
}

const tableNames = Object.keys(runTables) as RunTable[];

/** The ledger that the overrides name; the imported recipe names it from now on. */
function ledgerFrom(partial: string, overrides: readonly string[]): LedgerRecipe | undefined {
  const file = runPaths(partial).recipe;
  if (!existsSync(file))
    throw new RecipeError("the export has no recipe, so it can't say where the ledger is", {
      field: "ledger",
      hint: "Leave --set out: the ledger is then a file of the run folder.",
    });
  const { recipe } = loadRecipe(file, overrides);
  replaceFile(file, resolvedYaml(resolvedRecipe(recipe, partial, partial)));
  return recipe.ledger;
}

/** Whether the ledger has as many rows of each table as the manifest. */
const isFilled = (ledger: Ledger, { tables }: Manifest): Promise<boolean> =>
  ledger.snapshot(async (snapshot) => {
    for (const name of tableNames) if ((await snapshot.count(name)) !== tables[name]!.rows) return false;
    return true;
  });

async function fill(ledger: Ledger, folder: string, { tables }: Manifest, around: ArchiveOptions): Promise<void> {
  const total = Object.values(tables).reduce((sum, { rows }) => sum + rows, 0);
  let done = 0;
  await ledger.fill(async (insert) => {
    for (const name of tableNames) {
      const file = exportPaths(folder).table(name);
      let row = 0;
      for await (const page of readTable(file, fileColumns(name))) {
        for (let start = 0; start < page.length; start += insertedTogether) {
          checkInterrupted(around);
          const some = page
            .slice(start, start + insertedTogether)
            .map((cells, at) => amended({ file, line: row + start + at + 1 }, () => toStoredRow(name, cells)));
          await inserted(file, insert, name, some);
          done += some.length;
          around.listener.progress({ stage: "import", label: "the ledger", done, total, unit: "rows" });
          // What the database's driver has done with is let go of when the event loop turns.
          await nextTurn();
        }
        row += page.length;
      }
      if (row !== tables[name]!.rows)
        throw new DataError(`the file has ${row} rows; the manifest says ${tables[name]!.rows}`, {
          file,
          hint: "Take the export as it was written.",
        });
    }
  });
}

const insertedTogether = 1000;

/** What the database refuses of rows that have the right types: the same key twice. */
async function inserted(file: string, insert: InsertRows, table: RunTable, rows: readonly StoredRow[]): Promise<void> {
  try {
    await insert(table, rows);
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (error instanceof AmalgamError || typeof code !== "string" || !/^(SQLITE_CONSTRAINT|23)/.test(code)) throw error;
    throw new DataError(`the rows of this file can't stand together: ${(error as Error).message}`, {
      file,
      cause: error,
      hint: "Take the export as it was written.",
    });
  }
}
