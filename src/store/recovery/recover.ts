import { closeSync, existsSync, fsyncSync, linkSync, openSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { LedgerError } from "../../schema/index.ts";
import { explainSqlite, sqliteCode } from "../errors.ts";
import { heldBy, takeLock } from "../lock.ts";
import { migrateAndCount, newestSchema, requireKnownSchema, schemaVersion } from "../migrations.ts";
import { readLedger } from "../open.ts";
import { ledgerFile } from "../open-sqlite.ts";
import { openSqlite } from "../sqlite.ts";
import { faultsIn, faultsOfStructure } from "../verify.ts";
import { openPages } from "./pages.ts";
import { type SavedTable, salvage } from "./salvage.ts";

/** What was found in a ledger, and what became of it. */
export interface Recovery {
  /** What is wrong with it; empty where it is whole, and then nothing was changed. */
  readonly faults: readonly string[];
  readonly tables: readonly SavedTable[];
  /** Where the damaged file is now. */
  readonly kept?: string;
}

/**
 * Reads the whole ledger of a run folder. Where it is damaged, every row that can be read goes into a new ledger that takes
 * its place; the damaged file stays beside it under another name. Throws LedgerError where there is no ledger, another
 * process works on it, the disk has no room for the new one, or the ledger is a database's, which only its backup restores.
 */
export async function recoverLedger(runFolder: string): Promise<Recovery> {
  const folder = resolve(runFolder);
  const file = ledgerFile(folder);
  if (!existsSync(file) && !existsSync(`${file}-wal`)) {
    const reader = await readLedger(folder);
    await reader.verify().finally(() => reader.close());
    return { faults: [], tables: [] };
  }
  const lock = takeLock(folder);
  if (lock === undefined) throw heldBy(folder, undefined);
  try {
    const faults = await faultsOf(folder);
    if (faults.length === 0) return { faults, tables: [] };
    const target = join(folder, "run.recovered.db");
    removeLedger(target);
    const pages = openPages(file);
    let tables: SavedTable[];
    try {
      tables = await salvage(pages, target);
    } catch (error) {
      removeLedger(target);
      throw explainSqlite(error, target);
    } finally {
      pages.close();
    }
    return { faults, tables, kept: takeItsPlace(target, file, folder) };
  } finally {
    lock.release();
  }
}

/** What the file says of itself, and what SQLite and the keys and counts of its rows say. */
async function faultsOf(folder: string): Promise<string[]> {
  const pages = openPages(ledgerFile(folder));
  const { faults } = pages;
  pages.close();
  if (faults.length > 0) return [...faults];
  try {
    const db = openSqlite(ledgerFile(folder), { readOnly: true });
    try {
      await requireKnownSchema(db, ledgerFile(folder));
      if ((await schemaVersion(db)) === newestSchema) return await faultsIn(db);
      const ofStructure = await faultsOfStructure(db);
      if (ofStructure.length > 0) return ofStructure;
    } finally {
      await db.destroy();
    }
    return await faultsWhenRenewed(ledgerFile(folder));
  } catch (error) {
    if (!isDamage(error)) throw error;
    return [(error as LedgerError).message];
  }
}

/** What the keys and counts of an earlier schema say is known when it is brought up to date. */
async function faultsWhenRenewed(file: string): Promise<string[]> {
  const db = openSqlite(file);
  try {
    await migrateAndCount(db, file);
    return await faultsIn(db);
  } finally {
    await db.destroy();
  }
}

/** Whether SQLite says of a file that it is damaged. */
const isDamage = (error: unknown): boolean =>
  error instanceof LedgerError && /^SQLITE_(CORRUPT|NOTADB|IOERR)/.test(sqliteCode(error.cause) ?? "");

const removeLedger = (file: string) => {
  for (const end of ["", "-wal", "-shm"]) rmSync(`${file}${end}`, { force: true });
};

/** Puts the new ledger in the place of the damaged one, which first gets its second name. */
function takeItsPlace(target: string, file: string, folder: string): string {
  const names = (at: number) => join(folder, `run.damaged-${at}.db`);
  let at = 1;
  while (existsSync(names(at))) at += 1;
  const kept = names(at);
  const descriptor = openSync(target, "r+");
  fsyncSync(descriptor);
  closeSync(descriptor);
  for (const end of ["-wal", ""]) if (existsSync(`${file}${end}`)) linkSync(`${file}${end}`, `${kept}${end}`);
  // A log of the damaged file must not be taken for one of the new file.
  for (const end of ["-wal", "-shm"]) {
    rmSync(`${file}${end}`, { force: true });
    rmSync(`${target}${end}`, { force: true });
  }
  renameSync(target, file);
  return kept;
}
