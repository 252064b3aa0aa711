import { setTimeout as sleep } from "node:timers/promises";
import { PostgresAdapter, type RawBuilder, sql } from "kysely";
import { LedgerError } from "../schema/index.ts";
import type { Database } from "./tables.ts";

/** Where the two databases differ in their words. */
export const isPostgres = (db: Database): boolean => db.getExecutor().adapter instanceof PostgresAdapter;

/** The server or the way to it broke off; the same call may go well again. */
export class ConnectionLost extends LedgerError {}

/** With the waits between them half a minute: a server that is started anew is there again by then. */
const tries = 8;
/** Deadlock, and a transaction that another one has overtaken: PostgreSQL undoes one of them, which may try again. */
const undone = new Set(["40P01", "40001"]);

/**
 * Does what may be done twice, because its rows have content keys, until it has gone well: where a connection breaks off,
 * as it does when a process was paused within a transaction, nobody knows whether the last call was carried out.
 */
export async function persistently<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      const { code } = error as { code?: unknown };
      const passing = error instanceof ConnectionLost || (typeof code === "string" && undone.has(code));
      if (!passing || attempt === tries) throw error;
      await sleep(100 * 2 ** attempt);
    }
  }
}

/**
 * Does in one durable commit, or not at all, what may be done twice: every writer of the ledger writes so. Where the
 * connection breaks off, it is done again.
 */
export const transact = <T>(db: Database, work: (transaction: Database) => Promise<T>): Promise<T> =>
  persistently(() => db.transaction().execute(work));

/**
 * The time by the ledger's own clock, in milliseconds since 1970: of several machines on one ledger, each may have a
 * clock that is wrong.
 */
export const now = (db: Database): RawBuilder<number> =>
  isPostgres(db)
    ? sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`
    : sql<number>`cast(unixepoch('subsec') * 1000 as integer)`;

/** Asks for that time. */
export async function currentTime(db: Database): Promise<number> {
  const { rows } = await sql<{ time: number }>`select ${now(db)} as time`.execute(db);
  return rows[0]!.time;
}

/** Lets one transaction at a time do what has this name. A SQLite ledger has one writer, and waits for nobody. */
export async function lockFor(transaction: Database, name: string): Promise<void> {
  if (!isPostgres(transaction)) return;
  await sql`select pg_advisory_xact_lock(hashtextextended(current_schema() || ${name}, 0))`.execute(transaction);
}
