import { accessSync, constants, existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { sql } from "kysely";
import { LedgerError } from "../schema/index.ts";
import { heldBy, isLocked, type Lock, makeRunFolder, takeLock, thisProcess, type Writer } from "./lock.ts";
import { migrate, requireCurrentSchema } from "./migrations.ts";
import { type PromptReader, type PromptStore, promptStore } from "./prompts.ts";
import { type ReferenceLogpStore, referenceLogpStore } from "./reference-logps.ts";
import { type ResponseReader, type ResponseStore, responseStore } from "./responses.ts";
import {
  type EvaluationReader,
  type EvaluationStore,
  evaluationStore,
  type JudgementReader,
  type JudgementStore,
  judgementStore,
} from "./results.ts";
import { type ScoreReader, type ScoreStore, scoreStore } from "./scores.ts";
import { type SelectionReader, type SelectionStore, selectionStore } from "./selections.ts";
import { type Database, openSqlite, type SqliteOptions } from "./sqlite.ts";
import { type StageReader, type StageStore, stageStore } from "./stages.ts";
import { type DrawStatus, drawStatus, type ScoreStatus, scoreStatus } from "./status.ts";

interface MetaReader {
  get(name: string): Promise<string | undefined>;
}

/** Facts about the run as a whole, by name: the recipe's digest, the version of Amalgam. */
interface MetaStore extends MetaReader {
  set(name: string, value: string): Promise<void>;
}

/** What a process that only looks may ask; every answer is of one committed state. */
export interface LedgerReader {
  readonly folder: string;
  readonly meta: MetaReader;
  readonly prompts: PromptReader;
  readonly responses: ResponseReader;
  readonly scores: ScoreReader;
  readonly selections: SelectionReader;
  readonly referenceLogps: Pick<ReferenceLogpStore, "get">;
  readonly judgements: JudgementReader;
  readonly evaluations: EvaluationReader;
  readonly stages: StageReader;
  drawStatus(): Promise<DrawStatus[]>;
  scoreStatus(): Promise<ScoreStatus[]>;
  /** The live process that writes this run now, if there is one. */
  writer(): Promise<Writer | undefined>;
  /** Reads the whole file and throws LedgerError where it is damaged. */
  verify(): Promise<void>;
  close(): Promise<void>;
}

/**
 * The ledger of a run: everything that was sampled, scored, selected and judged, under content keys, so that nothing
 * is stored twice. When a writing call has returned, what it wrote is on the disk; when it threw, nothing of it is.
 * Free a ledger with `close`.
 */
export interface Ledger extends LedgerReader {
  readonly meta: MetaStore;
  readonly prompts: PromptStore;
  readonly responses: ResponseStore;
  readonly scores: ScoreStore;
  readonly selections: SelectionStore;
  readonly referenceLogps: ReferenceLogpStore;
  readonly judgements: JudgementStore;
  readonly evaluations: EvaluationStore;
  readonly stages: StageStore;
}

const ledgerFile = (folder: string) => join(folder, "run.db");

/**
 * Opens the ledger of a run folder for writing; makes folder and ledger where there are none, and brings an older
 * schema up to date. Throws LedgerError when another live process writes the run (the lock of a dead one holds
 * nobody up), when a newer Amalgam wrote it, and when the folder or the file can't be used.
 */
export async function openLedger(runFolder: string, options: Pick<SqliteOptions, "maxPages"> = {}): Promise<Ledger> {
  const folder = resolve(runFolder);
  makeRunFolder(folder);
  const lock = takeLock(folder);
  if (lock === undefined) throw heldBy(folder, await writerIn(folder));
  const file = ledgerFile(folder);
  let db: Database | undefined;
  try {
    db = openSqlite(file, options);
    await migrate(db, file);
    await metaStore(db).set("writer", JSON.stringify(thisProcess()));
    return ledgerOver(db, folder, lock);
  } catch (error) {
    await db?.destroy();
    lock.release();
    throw error;
  }
}

/** Opens the ledger of a run folder for reading only, while another process may be writing it. Throws LedgerError where there is none. */
export async function readLedger(runFolder: string): Promise<LedgerReader> {
  const folder = resolve(runFolder);
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
  return ledgerOver(db, folder, undefined);
}

function ledgerOver(db: Database, folder: string, lock: Lock | undefined): Ledger {
  let closed = false;
  return {
    folder,
    meta: metaStore(db),
    prompts: promptStore(db),
    responses: responseStore(db),
    scores: scoreStore(db),
    selections: selectionStore(db),
    referenceLogps: referenceLogpStore(db),
    judgements: judgementStore(db),
    evaluations: evaluationStore(db),
    stages: stageStore(db),
    drawStatus: () => drawStatus(db),
    scoreStatus: () => scoreStatus(db),
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
      if (closed) return;
      closed = true;
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
  };
}

function metaStore(db: Database): MetaStore {
  return {
    async get(name) {
      const row = await db.selectFrom("meta").select("value").where("name", "=", name).executeTakeFirst();
      return row?.value;
    },
    async set(name, value) {
      await db
        .insertInto("meta")
        .values({ name, value })
        .onConflict((conflict) => conflict.column("name").doUpdateSet({ value }))
        .execute();
    },
  };
}

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
