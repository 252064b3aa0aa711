import { randomUUID } from "node:crypto";
import { type RawBuilder, sql } from "kysely";
import { LedgerError } from "../schema/index.ts";
import { lockFor, now, persistently, transact } from "./engine.ts";
import { thisProcess, type Writer } from "./lock.ts";
import type { Database, Split } from "./tables.ts";

/**
 * One of the processes that work on a shared ledger. It holds leases of what it is at, as long as its row in `workers` is
 * there: it renews that row, and whoever looks for work removes the rows that have expired by the server's clock, with all
 * their leases. A worker that finds its row gone has lost what it held, and goes on under a new id: the id is the token that
 * keeps a process that was paused from acting on leases which are others' now.
 */
export interface Worker {
  /** The present token, after a look at the ledger where the last one is not recent. */
  token(): Promise<string>;
  /**
   * Leases for a task the next prompts of these splits after this position that lack something, as `lacking` says of a row
   * of `prompts`, and that nobody is at.
   */
  claim(task: string, splits: readonly Split[], after: number, lacking: RawBuilder<boolean>): Promise<Claimed[]>;
  /** Whether others are at prompts of the task. */
  othersAt(task: string): Promise<boolean>;
  /** Gives leases back, as part of a transaction. */
  release(transaction: Database, task: string, messagesKeys: readonly string[]): Promise<void>;
  /** Does what only one worker at a time may do. Throws LedgerError naming the worker that is at it. */
  exclusively<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Throws LedgerError where others work on this ledger. */
  refuseBesideOthers(what: string): Promise<void>;
  close(): Promise<void>;
}

/** A prompt that was leased. */
export interface Claimed {
  /** The key of its messages. */
  readonly item: string;
  readonly position: number;
}

/** Prompts that are leased at once: few, so that the last ones are shared, too. */
const claimSize = 64;

/** The live worker that has been on the ledger for longest; not the one named. */
export async function liveWorker(db: Database, except = ""): Promise<Writer | undefined> {
  const row = await db
    .selectFrom("workers")
    .selectAll()
    .where("id", "!=", except)
    .where("expires_at", ">", now(db))
    .orderBy("started_at")
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? undefined : { pid: row.pid, host: row.host, startedAt: new Date(row.started_at) };
}

const describe = ({ pid, host, startedAt }: Writer) => `process ${pid} on ${host} (since ${startedAt.toISOString()})`;

/** Joins the workers of a shared ledger; `place` is how errors name the ledger. */
export async function joinWorkers(db: Database, leaseMs: number, place: string): Promise<Worker> {
  let id = "";
  let seen = { steady: 0, wall: 0 };
  let renewing: Promise<void> | undefined;

  const expiry = () => sql<number>`${now(db)} + ${leaseMs}`;
  const renewOnce = async (): Promise<void> => {
    // Before the call: the lease counts from no later than this.
    const asked = { steady: performance.now(), wall: Date.now() };
    const { numUpdatedRows } = await db
      .updateTable("workers")
      .set({ expires_at: expiry() })
      .where("id", "=", id)
      .executeTakeFirstOrThrow();
    if (numUpdatedRows === 0n) {
      const fresh = randomUUID();
      const { pid, host } = thisProcess();
      await db
        .insertInto("workers")
        .values({ id: fresh, pid, host, started_at: now(db), expires_at: expiry() })
        .execute();
      id = fresh;
    }
    seen = asked;
  };
  const renew = (): Promise<void> => {
    renewing ??= persistently(renewOnce).finally(() => {
      renewing = undefined;
    });
    return renewing;
  };
  /** A process may be paused, and a machine may sleep: then the steady clock stands still, and only the other tells. */
  const isRecent = () =>
    performance.now() - seen.steady < leaseMs / 2 && Math.abs(Date.now() - seen.wall) < leaseMs / 2;
  const token = async (): Promise<string> => {
    if (!isRecent()) await renew();
    return id;
  };

  await renew();
  // A failed renewal shows at the next call that needs the lease.
  const timer = setInterval(() => void renew().catch(() => {}), leaseMs / 4);
  timer.unref();

  /** Removes who has expired; throws where this worker is among them. */
  const clear = async (transaction: Database, own: string): Promise<void> => {
    await transaction.deleteFrom("workers").where("expires_at", "<=", now(transaction)).execute();
    const still = await transaction.selectFrom("workers").select("id").where("id", "=", own).executeTakeFirst();
    if (still === undefined) throw new Expired();
  };
  const whileAlive = async <T>(work: (transaction: Database, own: string) => Promise<T>): Promise<T> => {
    for (;;) {
      const own = await token();
      try {
        return await transact(db, (transaction) => work(transaction, own));
      } catch (error) {
        if (!(error instanceof Expired)) throw error;
        await renew();
      }
    }
  };

  return {
    token,

    claim: (task, splits, after, lacking) =>
      whileAlive(async (transaction, own) => {
        await lockFor(transaction, `claim ${task}`);
        await clear(transaction, own);
        const { rows } = await sql<Claimed>`
          with claimed as (
            insert into leases (task, item, worker)
            select ${task}, prompts.messages_key, ${own} from prompts
            where prompts.position > ${after} and prompts.split in (${sql.join(splits)}) and ${lacking}
              and not exists (select 1 from leases where task = ${task} and item = prompts.messages_key)
            order by prompts.position limit ${claimSize}
            on conflict do nothing returning item)
          select item, prompts.position from claimed join prompts on prompts.messages_key = item
          order by prompts.position`.execute(transaction);
        return rows;
      }),

    async othersAt(task) {
      const lease = await db
        .selectFrom("leases")
        .select("item")
        .where("task", "=", task)
        .where("worker", "!=", id)
        .limit(1)
        .executeTakeFirst();
      return lease !== undefined;
    },

    async release(transaction, task, messagesKeys) {
      if (messagesKeys.length === 0) return;
      await transaction
        .deleteFrom("leases")
        .where("task", "=", task)
        .where("item", "in", messagesKeys)
        .where("worker", "=", id)
        .execute();
    },

    async exclusively(name, work) {
      const holder = await whileAlive(async (transaction, own) => {
        await lockFor(transaction, `stage ${name}`);
        await clear(transaction, own);
        const held = await transaction
          .selectFrom("leases")
          .innerJoin("workers", "workers.id", "leases.worker")
          .selectAll()
          .where("task", "=", "stage")
          .where("item", "=", name)
          .where("worker", "!=", own)
          .executeTakeFirst();
        if (held !== undefined) return { pid: held.pid, host: held.host, startedAt: new Date(held.started_at) };
        await transaction
          .insertInto("leases")
          .values({ task: "stage", item: name, worker: own })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
        return undefined;
      });
      if (holder !== undefined)
        throw new LedgerError(`${describe(holder)} is at the stage ${name} of this ledger`, {
          file: place,
          hint: "Only sampling and scoring are shared by several workers; wait until that one ends, or stop it.",
        });
      try {
        return await work();
      } finally {
        // Where the server is gone, the lease ends by itself, and the work's own error counts.
        await persistently(() =>
          db
            .deleteFrom("leases")
            .where("task", "=", "stage")
            .where("item", "=", name)
            .where("worker", "=", id)
            .execute(),
        ).catch(() => {});
      }
    },

    async refuseBesideOthers(what) {
      const other = await liveWorker(db, await token());
      if (other === undefined) return;
      throw new LedgerError(`${what}, while ${describe(other)} works on the same ledger`, {
        file: place,
        hint: "All workers on a ledger need the same recipe and prompts; give another run a `ledger.schema` of its own.",
      });
    },

    async close() {
      clearInterval(timer);
      await renewing?.catch(() => {});
      await db.deleteFrom("workers").where("id", "=", id).execute();
    },
  };
}

class Expired extends Error {}
