import { hostname } from "node:os";
import { join } from "node:path";
import Driver from "libsql";
import { LedgerError, makeFolder } from "../schema/index.ts";
import { explainSqlite, sqliteCode } from "./errors.ts";

/** The process that writes a run. */
export interface Writer {
  readonly pid: number;
  readonly host: string;
  readonly startedAt: Date;
}

export const thisProcess = (): Writer => ({
  pid: process.pid,
  host: hostname(),
  startedAt: new Date(Date.now() - process.uptime() * 1000),
});

/**
 * The lock is an exclusive transaction on `run.lock`, which is an empty database: the system's own file lock, so it
 * ends with its process, whatever ends that, and no lock is ever stale. Nobody may open run.lock in any other way:
 * closing a second descriptor of it would free the lock.
 */
const lockFile = (folder: string) => join(folder, "run.lock");
const patienceMs = 300;

export interface Lock {
  release(): void;
}

/** Takes the run folder's lock, or returns undefined when a live process holds it. Throws LedgerError where no file can be written. */
export function takeLock(folder: string): Lock | undefined {
  const file = lockFile(folder);
  let driver: InstanceType<typeof Driver> | undefined;
  try {
    driver = new Driver(file, { timeout: patienceMs });
    driver.exec("PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE");
  } catch (error) {
    driver?.close();
    if (sqliteCode(error)?.startsWith("SQLITE_BUSY")) return undefined;
    throw explainSqlite(error, file);
  }
  const held = driver;
  return {
    release() {
      held.exec("ROLLBACK");
      held.close();
    },
  };
}

/** Makes a folder for runs, unless it is there. Throws LedgerError where it can't be made. */
export function makeRunFolder(folder: string): void {
  try {
    makeFolder(folder);
  } catch (error) {
    throw new LedgerError(`the folder can't be made: ${error instanceof Error ? error.message : String(error)}`, {
      file: folder,
      hint: "Name a folder in a place where you may write and the disk is not full.",
      cause: error,
    });
  }
}

/**
 * Takes the lock of a folder that has no ledger of its own, and makes it where there is none. Throws LedgerError when a live
 * process holds it, or it can't be made.
 */
export function holdFolder(folder: string): Lock {
  makeRunFolder(folder);
  const lock = takeLock(folder);
  if (lock === undefined) throw heldBy(folder, undefined);
  return lock;
}

/** Whether a live process holds the lock. */
export function isLocked(folder: string): boolean {
  const lock = takeLock(folder);
  lock?.release();
  return lock === undefined;
}

/** The error for a run folder that another process writes. */
export function heldBy(folder: string, writer: Writer | undefined): LedgerError {
  const who =
    writer === undefined
      ? "another process"
      : `process ${writer.pid} on ${writer.host} (since ${writer.startedAt.toISOString()})`;
  return new LedgerError(`${who} is working in this run folder`, {
    file: folder,
    hint: "Wait until it ends, or stop it with Ctrl-C and run this again; `amalgam status` may look in at any time.",
  });
}
