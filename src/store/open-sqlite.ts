import { accessSync, constants, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { LedgerError } from "../schema/index.ts";
import { damaged, lacksRoomToShare } from "./errors.ts";
import { type Ledger, type LedgerReader, ledgerOver, metaStore } from "./ledger.ts";
import { heldBy, isLocked, type Lock, takeLock, thisProcess, type Writer } from "./lock.ts";
import { migrate, migrateAndCount, migrationsTo, newestSchema, olderInUse, readableSchema } from "./migrations.ts";
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
    refuseEmptied(folder);
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
  refuseEmptied(folder);
  const open = (unchanging = isUnchanging(folder)) => openSqlite(file, { readOnly: true, unchanging });
  let db = open();
  try {
    const schema = await readableSchema(db, file).catch(async (error: unknown) => {
      // Who writes has made the file for sharing: nobody does, and on a full disk nobody can begin to.
      if (!lacksRoomToShare(error) || hasLog(folder)) throw error;
      await db.destroy();
      db = open(true);
      return readableSchema(db, file);
    });
    if (schema === "older") {
      await db.destroy();
      await renew(folder);
      db = open();
    }
  } catch (error) {
    await db.destroy();
    throw error;
  }
  return ledgerOver(db, surroundings(db, folder, undefined));
}

/** Brings the ledger of an earlier Amalgam up to date for a reader. Throws LedgerError where somebody works on it, or nobody may write it. */
async function renew(folder: string): Promise<void> {
  const lock = takeLock(folder);
  if (lock === undefined) throw olderInUse(ledgerFile(folder));
  try {
    const db = openSqlite(ledgerFile(folder));
    try {
      await migrateAndCount(db, ledgerFile(folder));
    } finally {
      await db.destroy();
    }
  } finally {
    lock.release();
  }
}

const surroundings = (db: Database, folder: string, lock: Lock | undefined) => ({
  folder,
  async writer() {
    const locked = lock !== undefined || (!isUnchanging(folder) && isLocked(folder));
    return locked ? parseWriter(await metaStore(db).get("writer")) : undefined;
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

const bytes = (path: string): number => (existsSync(path) ? statSync(path).size : 0);

/** Whether commits stand in the log that are not in the file yet. */
const hasLog = (folder: string): boolean => bytes(`${ledgerFile(folder)}-wal`) > 0;

/** SQLite takes a file that was cut to nothing for a new one, and throws away the log beside it. */
function refuseEmptied(folder: string): void {
  const file = ledgerFile(folder);
  if (bytes(file) > 0 || (!existsSync(file) && !hasLog(folder))) return;
  throw damaged([existsSync(file) ? "the file is empty" : "the file is gone, and its log is still there"], folder);
}

/** Nobody can be writing where nobody may write: then SQLite needs no files for sharing, which it could not make there. */
function isUnchanging(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return false;
  } catch {
    return !hasLog(folder);
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
