import { persistently } from "./engine.ts";
import { damaged } from "./errors.ts";
import { collectGarbage, compact, fileSize, type Garbage, type Needed } from "./garbage.ts";
import type { Worker } from "./leases.ts";
import type { Writer } from "./lock.ts";
import type { PromptReader, PromptStore } from "./prompts.ts";
import { promptStore } from "./prompts.ts";
import { fillLedger, type InsertRows, type Snapshot, snapshotOf } from "./raw-rows.ts";
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
import { type StageReader, type StageStore, stageStore } from "./stages.ts";
import { type DrawStatus, drawStatus, type ScoreStatus, scoreStatus } from "./status.ts";
import type { Database } from "./tables.ts";
import { faultsIn } from "./verify.ts";

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
  /** Lets `work` read all rows as of one moment. */
  snapshot<Result>(work: (snapshot: Snapshot) => Promise<Result>): Promise<Result>;
  /** The live process that writes this run now, if there is one. */
  writer(): Promise<Writer | undefined>;
  /** Reads all of it and throws LedgerError where it is damaged, or keys and counts don't fit its rows. */
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
  /** Whether other machines may work on it, too. */
  readonly shared: boolean;
  /** Does what one worker at a time may do. Throws LedgerError where another worker of a shared ledger is at it. */
  exclusively<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Fills an empty ledger with rows as another one has them. Throws LedgerError where it holds a run already. */
  fill(work: (insert: InsertRows) => Promise<void>): Promise<void>;
  /** Finds what nothing refers to, and removes it in one commit where `remove` says so. Throws LedgerError beside other workers. */
  collect(needed: Needed, remove: boolean): Promise<Garbage[]>;
  /** Bytes of the ledger's file, and of them those that hold rows; undefined where a server keeps it. */
  fileSize(): Promise<{ readonly bytes: number; readonly used: number } | undefined>;
  /** Gives the space of removed rows back to the system. */
  compact(tables: readonly Garbage["table"][]): Promise<void>;
}

/** What a ledger can't answer by queries alone. */
export interface Surroundings {
  readonly folder: string;
  /** Where several processes may work on it: this one. */
  readonly worker?: Worker;
  writer(): Promise<Writer | undefined>;
  /** Called once. */
  close(): Promise<void>;
}

export function ledgerOver(db: Database, { folder, worker, writer, close }: Surroundings): Ledger {
  let closed = false;
  return {
    folder,
    shared: worker !== undefined,
    meta: metaStore(db),
    prompts: promptStore(db, worker),
    responses: responseStore(db, worker),
    scores: scoreStore(db, worker),
    selections: selectionStore(db),
    referenceLogps: referenceLogpStore(db),
    judgements: judgementStore(db),
    evaluations: evaluationStore(db),
    stages: stageStore(db),
    drawStatus: () => drawStatus(db),
    scoreStatus: () => scoreStatus(db),
    snapshot: (work) => snapshotOf(db, work),
    fill: (work) => fillLedger(db, work),
    async collect(needed, remove) {
      await worker?.refuseBesideOthers("rows are to be removed");
      return await collectGarbage(db, needed, remove);
    },
    fileSize: () => fileSize(db),
    compact: (tables) => compact(db, folder, tables),
    exclusively: (name, work) => (worker === undefined ? work() : worker.exclusively(name, work)),
    writer,
    async verify() {
      const faults = await faultsIn(db);
      if (faults.length > 0) throw damaged(faults, folder);
    },
    async close() {
      if (closed) return;
      closed = true;
      await close();
    },
  };
}

export function metaStore(db: Database): MetaStore {
  return {
    async get(name) {
      const row = await db.selectFrom("meta").select("value").where("name", "=", name).executeTakeFirst();
      return row?.value;
    },
    async set(name, value) {
      await persistently(() =>
        db
          .insertInto("meta")
          .values({ name, value })
          .onConflict((conflict) => conflict.column("name").doUpdateSet({ value }))
          .execute(),
      );
    },
  };
}
