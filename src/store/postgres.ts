import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient, type PostgresQueryResult } from "kysely";
import pg from "pg";
import { LedgerError } from "../schema/index.ts";
import { ConnectionLost } from "./engine.ts";
import { checked } from "./parameters.ts";
import type { Database, Tables } from "./tables.ts";

/** Where a ledger is, as it may be shown, and how it is reached. */
export interface PostgresAddress {
  readonly url: string;
  /** The same without a password. */
  readonly shown: string;
  readonly schema: string;
}

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
  const pool = new pg.Pool({
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
        oid === bigint ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
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

/** The pool as Kysely wants it: parameters checked, errors explained. */
function adapt(pool: pg.Pool, address: PostgresAddress): PostgresPool {
  const explained = async <T>(action: () => Promise<T>): Promise<T> => {
    try {
      return await action();
    } catch (error) {
      throw explainPostgres(error, address);
    }
  };
  const clients = new WeakMap<pg.PoolClient, PostgresPoolClient>();
  return {
    async connect() {
      const client = await explained(() => pool.connect());
      const known = clients.get(client);
      if (known !== undefined) return known;
      const adapted = {
        query: <R>(sql: string, parameters: readonly unknown[]) =>
          explained(
            () => client.query(sql, checked(parameters, {}) as unknown[]) as unknown as Promise<PostgresQueryResult<R>>,
          ),
        release: () => client.release(),
      };
      clients.set(client, adapted as PostgresPoolClient);
      return adapted as PostgresPoolClient;
    },
    end: () => pool.end(),
  };
}

const connectionLost = /^(08|57P0|25P03|ECONNRESET|EPIPE)/;

/** What the person is told for each code of PostgreSQL or the system that is about their server, not about our queries. */
const explanations: ReadonlyArray<readonly [codes: RegExp, message: string, hint: string]> = [
  [
    /^(28P01|28000)$/,
    "the database does not accept this user or password",
    "Put the password into the environment variable PGPASSWORD, and check the user in the ledger's url.",
  ],
  [/^3D000$/, "the server has no such database", "Make it once (createdb NAME), or correct the ledger's url."],
  [/^3F000$/, "the database has no such schema", "Start the run first, or correct the ledger's schema."],
  [
    /^42501$/,
    "the database refuses what the ledger needs",
    "The user needs the right to make a schema in this database, or to use the one that is there.",
  ],
  [
    /^25006$/,
    "the ledger can't be written",
    "It was opened for reading, or the server is a read-only standby: name the primary server.",
  ],
  [
    /^53100$/,
    "the disk of the database server is full: the last batch was not stored, everything before it is kept",
    "Free some space there and run the same command again; it goes on where it stopped.",
  ],
  [/^53300$/, "the database server has no connection left", "Raise its max_connections, or start fewer workers."],
  [
    connectionLost,
    "the connection to the database was lost: the last batch may not be stored, everything before it is kept",
    "Run the same command again when the server is up; it goes on where it stopped.",
  ],
  [
    /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOENT)$/,
    "the database server can't be reached",
    "Check the ledger's url, and that the server is up and may be reached from this machine.",
  ],
  [/^XX00[12]$/, "the ledger is damaged", "Restore the database from its backup; see the server's log."],
];

/** What the driver says without a code, and the code that stands for it. */
const codesOfWords: ReadonlyArray<readonly [words: RegExp, code: string]> = [
  [/Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/, "08006"],
  [/client password must be/, "28P01"],
];

/** The driver's error as the person should see it, without the address's password; a mistake in our own queries stays what it is. */
function explainPostgres(error: unknown, { shown, schema }: PostgresAddress): unknown {
  if (!(error instanceof Error) || error instanceof LedgerError) return error;
  const { code } = error as { code?: unknown };
  const name = typeof code === "string" ? code : (codesOfWords.find(([words]) => words.test(error.message))?.[1] ?? "");
  const known = explanations.find(([codes]) => codes.test(name));
  if (known === undefined) return error;
  const Kind = connectionLost.test(name) ? ConnectionLost : LedgerError;
  return new Kind(`${known[1]} (${name})`, { file: `${shown}, schema ${schema}`, hint: known[2] });
}
