import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sql } from "kysely";
import { EnvironmentError, LedgerError, type LedgerRecipe, ledgerSchema, replaceFile } from "../schema/index.ts";
import { transact } from "./engine.ts";
import { joinWorkers, liveWorker } from "./leases.ts";
import { type Ledger, type LedgerReader, ledgerOver } from "./ledger.ts";
import { heldBy, takeLock } from "./lock.ts";
import {
  migrate,
  migrateAndCount,
  migrationsTo,
  newestSchema,
  olderInUse,
  readableSchema,
  schemaVersion,
} from "./migrations.ts";
import { openPostgres, type PostgresAddress } from "./postgres.ts";
import type { Database } from "./tables.ts";

/** Says in a run folder that its ledger is elsewhere; never a password. */
const addressFile = (folder: string): string => join(folder, "ledger.json");

/** Where the ledger of a run folder is, if that is elsewhere. Throws LedgerError where the file can't be read. */
export function storedAddress(folder: string): LedgerRecipe | undefined {
  const file = addressFile(folder);
  if (!existsSync(file)) return undefined;
  try {
    return ledgerSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (cause) {
    throw new LedgerError("this file should say where the run's ledger is, and can't be read", {
      file,
      cause,
      hint: "Remove it, and run again with the recipe that names the ledger.",
    });
  }
}

function addressOf(recipe: LedgerRecipe): PostgresAddress {
  const { url_env, schema } = recipe;
  const text = recipe.url ?? process.env[url_env!];
  if (text === undefined || text === "")
    throw new EnvironmentError(`the environment variable ${url_env} is not set`, {
      field: "ledger.url_env",
      hint: "Put the URL of the ledger's database into it: postgresql://user:password@host:5432/database.",
    });
  if (!/^postgres(ql)?:\/\//.test(text) || !URL.canParse(text))
    // Without the text: it may hold a password.
    throw new EnvironmentError(`the environment variable ${url_env} holds no URL of a PostgreSQL database`, {
      field: "ledger.url_env",
      hint: "It looks so: postgresql://user:password@host:5432/database.",
    });
  const { protocol, username, host, pathname } = new URL(text);
  return { url: text, shown: `${protocol}//${username === "" ? "" : `${username}@`}${host}${pathname}`, schema };
}

const placeOf = ({ shown, schema }: PostgresAddress) => `${shown}, schema ${schema}`;

/** Opens a PostgreSQL ledger for a worker whose run folder is there. */
export async function openShared(folder: string, recipe: LedgerRecipe, schema = newestSchema): Promise<Ledger> {
  const address = addressOf(recipe);
  const lock = takeLock(folder);
  if (lock === undefined) throw heldBy(folder, undefined);
  const db = openPostgres(address, { idleMs: recipe.lease_seconds * 500 });
  try {
    await makeSchema(db, address);
    await refuseBesideEarlier(db, schema, placeOf(address));
    await migrate(db, placeOf(address), migrationsTo(schema));
    const worker = await joinWorkers(db, recipe.lease_seconds * 1000, placeOf(address));
    replaceFile(addressFile(folder), `${JSON.stringify(recipe, null, 2)}\n`);
    return ledgerOver(db, {
      folder,
      worker,
      writer: () => liveWorker(db),
      async close() {
        try {
          // A worker that can't say goodbye is taken for dead when its lease ends.
          await worker.close().catch(() => {});
        } finally {
          await db.destroy();
          lock.release();
        }
      },
    });
  } catch (error) {
    await db.destroy();
    lock.release();
    throw error;
  }
}

async function makeSchema(db: Database, { schema }: PostgresAddress): Promise<void> {
  await transact(db, async (transaction) => {
    // Several workers may come at once.
    await sql`select pg_advisory_xact_lock(hashtextextended(${`amalgam ${schema}`}, 0))`.execute(transaction);
    // `if not exists` wants the right to make a schema even where it is there.
    const { rows } = await sql`select from pg_catalog.pg_namespace where nspname = ${schema}`.execute(transaction);
    if (rows.length === 0) await sql`create schema ${sql.id(schema)}`.execute(transaction);
  });
}

/** The first schema with workers. */
const firstShared = 5;

/** Throws LedgerError where an earlier Amalgam works on the ledger: what it is at would change under its hands. */
async function refuseBesideEarlier(db: Database, schema: number, place: string): Promise<void> {
  const version = await schemaVersion(db);
  if (version < firstShared || version >= schema) return;
  if ((await liveWorker(db)) !== undefined) throw olderInUse(place);
}

/** Brings the ledger of an earlier Amalgam up to date for a reader. Throws LedgerError where somebody works on it. */
async function renew(address: PostgresAddress): Promise<void> {
  const db = openPostgres(address);
  try {
    if ((await liveWorker(db)) !== undefined) throw olderInUse(placeOf(address));
    await migrateAndCount(db, placeOf(address));
  } finally {
    await db.destroy();
  }
}

/** Opens a PostgreSQL ledger for reading. */
export async function readShared(folder: string, recipe: LedgerRecipe): Promise<LedgerReader> {
  const address = addressOf(recipe);
  const db = openPostgres(address, { readOnly: true });
  try {
    if ((await readableSchema(db, placeOf(address))) === "older") await renew(address);
  } catch (error) {
    await db.destroy();
    throw error;
  }
  return ledgerOver(db, {
    folder,
    writer: () => liveWorker(db),
    close: () => db.destroy(),
  });
}
