import { PostgresAdapter, type RawBuilder, sql } from "kysely";
import type { Database } from "./sqlite.ts";

/**
 * The time by the ledger's own clock, in milliseconds since 1970: of several machines on one ledger, each may have a
 * clock that is wrong.
 */
export const now = (db: Database): RawBuilder<number> =>
  isPostgres(db)
    ? sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`
    : sql<number>`cast(unixepoch('subsec') * 1000 as integer)`;

export const isPostgres = (db: Database): boolean => db.getExecutor().adapter instanceof PostgresAdapter;
