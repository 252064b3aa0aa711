import { accessSync, constants, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { sql } from "kysely";
import { LedgerError } from "../schema/index.ts";
import { type Ledger, type LedgerReader, ledgerOver, metaStore } from "./ledger.ts";
import { heldBy, isLocked, type Lock, takeLock, thisProcess, type Writer } from "./lock.ts";
import { migrate, migrationsTo, newestSchema, requireCurrentSchema } from "./migrations.ts";
import { openSqlite, type SqliteOptions } from "./sqlite.ts";
import type { Database } from "./tables.ts";

export const ledgerFile = (folder: string): string => join(folder, "run.db");

/** Opens the SQLite ledger of a run folder that is there, for writing. */
export async function openFile(
  folder: string,
  { schema = newestSchema, ...options }: Pick<SqliteOptions, "maxPages"> & { readonly schema?: number },
): Promise<Ledger> {
  const lock = takeLock(folder);
  if (lock === undefined) throw heldBy(folder, await writerIn(folder));
  const file = ledgerFile(folder);
  let db: Database | undefined;
  try {
    db = openSqlite(file, options);
    await migrate(db, file, migrationsTo(schema));
    await metaStore(db).set("writer", JSON.stringify(thisProcess()));
    return ledgerOver(db, surroundings(db, folder, lock));
  } catch (error) {
    await db?.destroy();
    lock.release();
    throw error;
  }
}

/** Opens the SQLite ledger of a run folder for reading. */
export async function readFile(folder: string): Promise<LedgerReader> {
  const file = ledgerFile(folder);
  if (!existsSync(file)) {
    throw new LedgerError("there is no run here: the folder has no run.db", {
      file: folder,
      hint: "Name the folder of a run, or start one: amalgam run <folder> --recipe <file>.",
    });
  }
  const db = openSqlite(file, { readOnly: true, unchanging: isUnchanging(folder) });
  try {
    await requireCurrentSchema(db, file);
  } catch (error) {
    await db.destroy();
    throw error;
  }
  return ledgerOver(db, surroundings(db, folder, undefined));
}

const surroundings = (db: Database, folder: string, lock: Lock | undefined) => ({
  folder,
  async writer() {
    const locked = lock !== undefined || (!isUnchanging(folder) && isLocked(folder));
    return locked ? parseWriter(await metaStore(db).get("writer")) : undefined;
  },
  async verify() {
    const { rows } = await sql<{ quick_check: string }>`PRAGMA quick_check(1)`.execute(db);
    const [finding] = rows;
    if (finding?.quick_check === "ok") return;
    throw new LedgerError(`the ledger is damaged: ${finding?.quick_check}`, {
      file: ledgerFile(folder),
      hint: "Keep a copy of the whole run folder, then save what can be read: sqlite3 run.db .recover | sqlite3 recovered.db.",
    });
  },
  async close() {
    try {
      // Who reads a ledger that nobody holds passes over it: where the disk has no room for this, nothing is lost.
      if (lock !== undefined)
        await db
          .deleteFrom("meta")
          .where("name", "=", "writer")
          .execute()
          .catch(() => {});
    } finally {
      await db.destroy();
      lock?.release();
    }
  },
});

/** Nobody can be writing where nobody may write: then SQLite needs no files for sharing, which it could not make there. */
function isUnchanging(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return false;
  } catch {
    const log = `${ledgerFile(folder)}-wal`;
    return !existsSync(log) || statSync(log).size === 0;
  }
}

/** Who wrote last, as far as the ledger can be read; a dead process of this machine is not named. */
async function writerIn(folder: string): Promise<Writer | undefined> {
  let db: Database | undefined;
  try {
    db = openSqlite(ledgerFile(folder), { readOnly: true });
    const writer = parseWriter(await metaStore(db).get("writer"));
    return writer !== undefined && writer.host === thisProcess().host && !isAlive(writer.pid) ? undefined : writer;
  } catch {
    return undefined;
  } finally {
    await db?.destroy();
  }
}

function parseWriter(value: string | undefined): Writer | undefined {
  if (value === undefined) return undefined;
  const { pid, host, startedAt } = JSON.parse(value) as { pid: number; host: string; startedAt: string };
  return { pid, host, startedAt: new Date(startedAt) };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
}
