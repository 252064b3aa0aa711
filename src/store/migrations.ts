import { sql } from "kysely";
import { LedgerError } from "../schema/index.ts";
import { recount } from "./counts.ts";
import { drawsOf } from "./draws.ts";
import { isPostgres, lockFor, transact } from "./engine.ts";
import { addPromptNumbers, dropMoved, moveSomePrompts } from "./prompt-numbers.ts";
import type { Database } from "./tables.ts";

export interface Migration {
  /** The schema version that the ledger has afterwards: 1, 2, 3 and so on without a gap. */
  readonly version: number;
  /** Does, before `up`, a part of what is too much for one transaction, and says whether more is left. */
  some?(db: Database): Promise<boolean>;
  up(db: Database): Promise<void>;
}

/** Every step from an empty file to the schema of `tables.ts`. A published step is never edited: add the next one. */
export const migrations: readonly Migration[] = [
  { version: 1, up: createTables },
  { version: 2, up: addSourceRejected },
  { version: 3, up: addFurtherSources },
  { version: 4, up: addCounts },
  { version: 5, up: addWorkers },
  { version: 6, up: addExtras },
  { version: 7, up: addPromptNumbers },
  { version: 8, some: moveSomePrompts, up: dropMoved },
  { version: 9, up: addSplitIndex },
];

/** The version of the schema that this Amalgam writes. */
export const newestSchema = migrations.at(-1)!.version;

/** The schema version of an open ledger; 0 for an empty file. */
export async function schemaVersion(db: Database): Promise<number> {
  if (!(await hasMeta(db))) return 0;
  const row = await db.selectFrom("meta").select("value").where("name", "=", "schema_version").executeTakeFirst();
  return Number(row?.value ?? 0);
}

async function hasMeta(db: Database): Promise<boolean> {
  if (!isPostgres(db)) return (await db.introspection.getTables()).some((table) => table.name === "meta");
  // From the catalogue itself: what `to_regclass` has cached in a transaction does not see another's commit.
  const { rows } = await sql`select from pg_catalog.pg_class where relname = 'meta'
    and relnamespace = (select oid from pg_catalog.pg_namespace where nspname = current_schema())`.execute(db);
  return rows.length > 0;
}

/** The steps to an earlier version of the schema. */
export const migrationsTo = (version: number): readonly Migration[] =>
  migrations.filter((step) => step.version <= version);

/**
 * Brings a ledger to the newest schema: each step in a transaction of its own together with its number, a long one in several. One that
 * is killed goes on where it was with the next who opens the ledger.
 * Throws LedgerError for a ledger that a newer Amalgam wrote.
 */
export async function migrate(db: Database, file: string, steps: readonly Migration[] = migrations): Promise<void> {
  const before = await schemaVersion(db);
  refuseNewer(before, newestSchema, file);
  for (const step of steps.filter((candidate) => candidate.version > before)) {
    // Several workers may come to a new ledger at once.
    const alone = <T>(work: (transaction: Database) => Promise<T>) =>
      transact(db, async (transaction) => {
        await lockFor(transaction, "migration");
        return (await schemaVersion(transaction)) >= step.version ? undefined : await work(transaction);
      });
    while (step.some !== undefined && (await alone(step.some)));
    await alone(async (transaction) => {
      await step.up(transaction);
      await transaction
        .insertInto("meta")
        .values({ name: "schema_version", value: String(step.version) })
        .onConflict((conflict) => conflict.column("name").doUpdateSet({ value: String(step.version) }))
        .execute();
    });
  }
}

/** Throws LedgerError for a ledger that a newer Amalgam wrote. */
export async function requireKnownSchema(db: Database, file: string): Promise<void> {
  refuseNewer(await schemaVersion(db), newestSchema, file);
}

/** Brings the ledger of an earlier Amalgam to the newest schema, and counts what earlier schemas don't count. */
export async function migrateAndCount(db: Database, file: string): Promise<void> {
  await migrate(db, file);
  for (const stage of new Set((await drawsOf(db)).map((draw) => draw.stage))) await recount(db, stage);
}

/** Whether a reader finds the newest schema or an older one. Throws LedgerError for a newer one, and for what is no ledger. */
export async function readableSchema(db: Database, file: string): Promise<"newest" | "older"> {
  const version = await schemaVersion(db);
  refuseNewer(version, newestSchema, file);
  if (version === newestSchema) return "newest";
  if (version > 0) return "older";
  throw new LedgerError("this file is not a ledger of Amalgam", {
    file,
    hint: "Name a run folder in which `amalgam run` was started.",
  });
}

/** The error for a ledger of an older schema that others work on. */
export const olderInUse = (file: string): LedgerError =>
  new LedgerError("an earlier Amalgam works on this ledger, and this one must change it to read it", {
    file,
    hint: "Wait until that run ends, or stop it; then ask again.",
  });

/** Throws LedgerError for the schema of a newer Amalgam. */
export function refuseNewer(version: number, newest: number, file: string): void {
  if (version <= newest) return;
  throw new LedgerError(`this ledger has schema ${version}; this Amalgam knows schemas up to ${newest}`, {
    file,
    hint: "A newer Amalgam wrote it: upgrade Amalgam, nothing was changed.",
  });
}

async function addSourceRejected(db: Database): Promise<void> {
  await db.schema.alterTable("selections").addColumn("source_rejected", "text").execute();
}

async function addFurtherSources(db: Database): Promise<void> {
  await db.schema.alterTable("selections").addColumn("further_sources_json", "text").execute();
}

async function addCounts(db: Database): Promise<void> {
  await db.schema.alterTable("draws").addColumn("done", "integer").execute();
  await db.schema.alterTable("draws").addColumn("unfinished", "integer").execute();
  await db.schema
    .createTable("score_counts")
    .addColumn("stage", "text", (column) => column.notNull())
    .addColumn("reward", "text", (column) => column.notNull())
    .addColumn("done", "integer", (column) => column.notNull())
    .addPrimaryKeyConstraint("score_counts_primary", ["stage", "reward"])
    .execute();
  await db.schema
    .createIndex("responses_cut_off")
    .on("responses")
    .columns(["sampler", "messages_key", "idx"])
    .where(sql.ref("finish"), "=", sql.lit("length"))
    .execute();
}

async function addWorkers(db: Database): Promise<void> {
  await db.schema
    .createTable("workers")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("host", "text", (column) => column.notNull())
    .addColumn("pid", "integer", (column) => column.notNull())
    .addColumn("started_at", "bigint", (column) => column.notNull())
    .addColumn("expires_at", "bigint", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("leases")
    .addColumn("task", "text", (column) => column.notNull())
    .addColumn("item", "text", (column) => column.notNull())
    .addColumn("worker", "text", (column) =>
      isPostgres(db) ? column.notNull().references("workers.id").onDelete("cascade") : column.notNull(),
    )
    .addPrimaryKeyConstraint("leases_primary", ["task", "item"])
    .execute();
  await db.schema.createIndex("leases_of_worker").on("leases").column("worker").execute();
}

async function addExtras(db: Database): Promise<void> {
  await db.schema.alterTable("responses").addColumn("extras_json", "text").execute();
}

async function createTables(db: Database): Promise<void> {
  const table = (name: string) => db.schema.createTable(name);
  await table("meta")
    .addColumn("name", "text", (column) => column.primaryKey())
    .addColumn("value", "text", (column) => column.notNull())
    .execute();
  await table("prompts")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("position", "integer", (column) => column.notNull().unique())
    .addColumn("split", "text", (column) => column.notNull())
    .addColumn("messages_json", "text", (column) => column.notNull())
    .addColumn("messages_key", "text", (column) => column.notNull().unique())
    .addColumn("checks_json", "text", (column) => column.notNull())
    .addColumn("checks_key", "text", (column) => column.notNull())
    .addColumn("domain", "text")
    .execute();
  await table("samplers")
    .addColumn("key", "text", (column) => column.primaryKey())
    .addColumn("identity", "text", (column) => column.notNull())
    .addColumn("sampling_json", "text", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .execute();
  await table("draws")
    .addColumn("stage", "text", (column) => column.notNull())
    .addColumn("source", "text", (column) => column.notNull())
    .addColumn("sampler", "text", (column) => column.notNull())
    .addColumn("n", "integer", (column) => column.notNull())
    .addColumn("splits_json", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("draws_primary", ["stage", "source"])
    .execute();
  await table("responses")
    .addColumn("key", "text", (column) => column.primaryKey())
    .addColumn("sampler", "text", (column) => column.notNull())
    .addColumn("messages_key", "text", (column) => column.notNull())
    .addColumn("idx", "integer", (column) => column.notNull())
    .addColumn("text_json", "text", (column) => column.notNull())
    .addColumn("finish", "text", (column) => column.notNull())
    .addColumn("prompt_tokens", "integer", (column) => column.notNull())
    .addColumn("response_tokens", "integer", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addUniqueConstraint("responses_drawn_once", ["sampler", "messages_key", "idx"])
    .execute();
  await table("failures")
    .addColumn("sampler", "text", (column) => column.notNull())
    .addColumn("messages_key", "text", (column) => column.notNull())
    .addColumn("idx", "integer", (column) => column.notNull())
    .addColumn("failure_json", "text", (column) => column.notNull())
    .addColumn("failed_at", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("failures_primary", ["sampler", "messages_key", "idx"])
    .execute();
  await table("scores")
    .addColumn("response_key", "text", (column) => column.notNull())
    .addColumn("reward", "text", (column) => column.notNull())
    .addColumn("checks_key", "text", (column) => column.notNull())
    .addColumn("value", sql`double precision`, (column) => column.notNull())
    .addColumn("parts_json", "text", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("scores_primary", ["response_key", "reward", "checks_key"])
    .execute();
  await table("score_failures")
    .addColumn("response_key", "text", (column) => column.notNull())
    .addColumn("reward", "text", (column) => column.notNull())
    .addColumn("checks_key", "text", (column) => column.notNull())
    .addColumn("failure_json", "text", (column) => column.notNull())
    .addColumn("failed_at", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("score_failures_primary", ["response_key", "reward", "checks_key"])
    .execute();
  await table("selections")
    .addColumn("prompt_id", "text", (column) => column.primaryKey())
    .addColumn("split", "text", (column) => column.notNull())
    .addColumn("source_chosen", "text")
    .addColumn("target_chosen", "text")
    .addColumn("rejected", "text")
    .addColumn("left_out", "text")
    .execute();
  await table("reference_logps")
    .addColumn("model", "text", (column) => column.notNull())
    .addColumn("template", "text", (column) => column.notNull())
    .addColumn("prompt_tokens", "text", (column) => column.notNull())
    .addColumn("response", "text", (column) => column.notNull())
    .addColumn("logp", sql`double precision`, (column) => column.notNull())
    .addColumn("tokens", "integer", (column) => column.notNull())
    .addPrimaryKeyConstraint("reference_logps_primary", ["model", "template", "prompt_tokens", "response"])
    .execute();
  await table("judgements")
    .addColumn("key", "text", (column) => column.primaryKey())
    .addColumn("judge", "text", (column) => column.notNull())
    .addColumn("value_json", "text", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .execute();
  await table("evaluations")
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("inputs", "text", (column) => column.notNull())
    .addColumn("result_json", "text", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("evaluations_primary", ["name", "inputs"])
    .execute();
  await table("stages")
    .addColumn("name", "text", (column) => column.primaryKey())
    .addColumn("inputs", "text", (column) => column.notNull())
    .addColumn("state", "text", (column) => column.notNull())
    .addColumn("first_started_at", "bigint", (column) => column.notNull())
    .addColumn("started_at", "bigint", (column) => column.notNull())
    .addColumn("updated_at", "bigint", (column) => column.notNull())
    .addColumn("finished_at", "bigint")
    .addColumn("seconds", sql`double precision`, (column) => column.notNull())
    .addColumn("total", "integer", (column) => column.notNull())
    .addColumn("done", "integer", (column) => column.notNull())
    .addColumn("done_before", "integer", (column) => column.notNull())
    .addColumn("failed", "integer", (column) => column.notNull())
    .addColumn("counts_json", "text", (column) => column.notNull())
    .execute();
}

/** Prompts are counted by their split each time a source begins: without the index, all their texts are read. */
async function addSplitIndex(db: Database): Promise<void> {
  await db.schema.createIndex("prompts_of_split").on("prompts").column("split").execute();
}
