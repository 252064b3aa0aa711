import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { LedgerError, type LedgerRecipe } from "../schema/index.ts";
import type { Ledger, LedgerReader } from "./ledger.ts";
import { makeRunFolder } from "./lock.ts";
import { openShared, readShared, storedAddress } from "./open-postgres.ts";
import { ledgerFile, openFile, readFile } from "./open-sqlite.ts";
import type { SqliteOptions } from "./sqlite.ts";

export interface LedgerOptions extends Pick<SqliteOptions, "maxPages"> {
  /** A PostgreSQL database that holds the ledger; a file of the run folder without. */
  readonly shared?: LedgerRecipe | undefined;
  /** The version of the schema that an empty ledger gets, to be filled with rows of that version; the newest without. */
  readonly schema?: number;
}

/**
 * Opens the ledger of a run folder for writing; makes folder and ledger where there are none, and brings an older
 * schema up to date. Throws LedgerError when another live process writes the run (the lock of a dead one holds
 * nobody up), when a newer Amalgam wrote it, when the folder, the file or the database can't be used, and when the
 * run's ledger is elsewhere than where it is looked for.
 */
export async function openLedger(runFolder: string, { shared, ...options }: LedgerOptions = {}): Promise<Ledger> {
  const folder = resolve(runFolder);
  makeRunFolder(folder);
  const stored = storedAddress(folder);
  if (shared === undefined) {
    if (stored === undefined) return await openFile(folder, options);
    throw new LedgerError("this run's ledger is in a PostgreSQL database, and the recipe does not say so", {
      file: folder,
      hint: "Put the `ledger` of its ledger.json back into the recipe, or take another run folder.",
    });
  }
  if (existsSync(ledgerFile(folder)))
    throw new LedgerError("this run's ledger is in the run folder, and the recipe names a PostgreSQL database", {
      file: ledgerFile(folder),
      hint: "Take a new run folder for the shared ledger.",
    });
  if (stored !== undefined && placeName(stored) !== placeName(shared))
    throw new LedgerError("the recipe names another ledger than this run has", {
      file: folder,
      hint: "Put the `ledger` of its ledger.json back into the recipe, or take another run folder.",
    });
  return await openShared(folder, shared, options.schema);
}

/** Whether a run was ever begun in this folder. */
export const hasLedger = (folder: string): boolean =>
  existsSync(ledgerFile(folder)) || storedAddress(folder) !== undefined;

const placeName = ({ url, url_env, schema }: LedgerRecipe) => JSON.stringify([url, url_env, schema]);

/** Opens the ledger of a run folder for reading only, while other processes may be writing it. Throws LedgerError where there is none. */
export async function readLedger(runFolder: string): Promise<LedgerReader> {
  const folder = resolve(runFolder);
  const shared = storedAddress(folder);
  return shared === undefined ? await readFile(folder) : await readShared(folder, shared);
}
