import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient, type PostgresQueryResult } from "kysely";
import type pg from "pg";
import { whenUsed } from "../schema/index.ts";
import { ConnectionLost, persistently } from "./engine.ts";
import { explainPostgres } from "./explain-postgres.ts";
import { checked } from "./parameters.ts";
import type { Database, Tables } from "./tables.ts";

/** Where a ledger is, as it may be shown, and how it is reached. */
export interface PostgresAddress {
  readonly url: string;
  /** The same without a password. */
  readonly shown: string;
  readonly schema: string;
}

const driver = whenUsed<typeof pg>("pg");
const connectTimeoutMs = 15_000;
const connections = 4;
const bigint = 20;

/**
 * Opens a schema of a PostgreSQL database; nothing is sent yet. Every commit is on the server's disk before it is
 * acknowledged, as far as the server is not told otherwise. Calls throw LedgerError where the server or the network fails.
 */
export function openPostgres(
  address: PostgresAddress,
  { idleMs = 30_000, readOnly = false }: { readonly idleMs?: number; readonly readOnly?: boolean } = {},
): Database {
  const { Pool, types } = driver();
  const pool = new Pool({
    ...withOptions(address.url, [
      `-c search_path=${address.schema}`,
      // A process that is paused within a transaction must not hold up the others: the server ends it.
      `-c idle_in_transaction_session_timeout=${Math.ceil(idleMs)}`,
      ...(readOnly ? ["-c default_transaction_read_only=on"] : []),
    ]),
    max: connections,
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: "amalgam",
    // Counts and times are far below 2^53.
    types: {
      getTypeParser: ((oid: number, format?: "text") =>
        oid === bigint ? Number : types.getTypeParser(oid, format)) as typeof types.getTypeParser,
    },
  });
  // A connection that breaks shows at the next call on it; without listeners it would end the process.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool: adapt(pool, address) }) });
}

/** Our options after the person's own: the driver would take those of the address in place of ours, the schema's name among them. */
function withOptions(url: string, own: readonly string[]): Pick<pg.PoolConfig, "connectionString" | "options"> {
  const address = new URL(url);
  const given = address.searchParams.get("options") ?? process.env.PGOPTIONS ?? "";
  address.searchParams.delete("options");
  return { connectionString: address.href, options: [given, ...own].join(" ") };
}

/** The pool as Kysely wants it: parameters checked, errors explained, and what only reads asked again where a connection broke. */
function adapt(pool: pg.Pool, address: PostgresAddress): PostgresPool {
  let connected = false;
  const explained = async <T>(action: () => Promise<T>): Promise<T> => {
    try {
      return await action();
    } catch (error) {
      throw explainPostgres(error, address, connected);
    }
  };
  const connect = async () => {
    const client = await explained(() => pool.connect());
    connected = true;
    return client;
  };
  return {
    async connect() {
      let client = await connect();
      let broken = false;
      let inTransaction = false;
      const ask = async <R>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>> => {
        if (broken) client = await connect();
        broken = false;
        try {
          return (await explained(() =>
            client.query(sql, checked(parameters, {}) as unknown[]),
          )) as unknown as PostgresQueryResult<R>;
        } catch (error) {
          if (!inTransaction && error instanceof ConnectionLost) {
            client.release(true);
            broken = true;
          }
          throw error;
        }
      };
      const adapted = {
        query: <R>(sql: string, parameters: readonly unknown[]) => {
          inTransaction ||= sql.startsWith("begin") || sql.startsWith("start transaction");
          const repeatable = !inTransaction && sql.startsWith("select");
          return repeatable ? persistently(() => ask<R>(sql, parameters)) : ask<R>(sql, parameters);
        },
        release: () => {
          if (!broken) client.release();
        },
      };
      return adapted as PostgresPoolClient;
    },
    end: () => pool.end(),
  };
}
