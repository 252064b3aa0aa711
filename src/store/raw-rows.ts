import { sql } from "kysely";
import { LedgerError } from "../schema/index.ts";
import { chunks } from "./chunks.ts";
import { isPostgres, lockFor } from "./engine.ts";
import type { Database, Tables } from "./tables.ts";

/**
 * The tables of a run as its rows are exchanged, with the columns by which they are ordered. `workers` and `leases` are about processes;
 * the numbers of prompts are a ledger's own, and each gives them anew.
 */
export const runTables = {
  meta: ["name"],
  prompts: ["position"],
  samplers: ["key"],
  draws: ["stage", "source"],
  responses: ["messages_key", "key"],
  failures: ["sampler", "messages_key", "idx"],
  /** Within the messages of the prompt. */
  scores: ["response_key", "reward", "checks_key"],
  score_failures: ["response_key", "reward", "checks_key"],
  score_counts: ["stage", "reward"],
  selections: ["prompt_id"],
  reference_logps: ["model", "template", "prompt_tokens", "response"],
  judgements: ["key"],
  evaluations: ["name", "inputs"],
  stages: ["name"],
} as const satisfies {
  readonly [Name in Exclude<keyof Tables, "workers" | "leases" | "prompt_numbers">]: readonly (keyof Tables[Name])[];
};

/** The schema whose rows have these columns: before prompts had numbers. */
export const exchangedSchema = 6;
const numbered: ReadonlySet<RunTable> = new Set(["prompts", "responses", "scores", "score_failures"]);

/** A row as its table had it in that schema. */
function exchanged(table: RunTable, row: StoredRow): StoredRow {
  if (!numbered.has(table)) return row;
  const { prompt_no: _, ...kept } = row;
  return kept;
}

export type RunTable = keyof typeof runTables;
export type StoredValue = string | number | null;
export type StoredRow = Readonly<Record<string, StoredValue>>;

/** All rows of a ledger as of one moment. */
export interface Snapshot {
  /** The version of the schema whose rows these are. */
  readonly schema: number;
  count(table: RunTable): Promise<number>;
  /** The rows as they are stored, a page at a time, in the order of the table's key. */
  rows(table: RunTable): AsyncGenerator<readonly StoredRow[]>;
}

/** Stores rows as they are. */
export type InsertRows = (table: RunTable, rows: readonly StoredRow[]) => Promise<void>;

/** What of `meta` is about the database or the process that has it open. */
const ofTheDatabase = ["schema_version", "writer"];
const pageRows = 500;
/** Rows a commit, where a whole ledger is filled. */
const committedRows = 5000;

/** Content keys: every collation has them in one order, and an index of the database serves it. */
const orderedAlike: ReadonlySet<RunTable> = new Set([
  ...(["prompts", "samplers", "failures", "score_failures"] as const),
  ...(["reference_logps", "judgements"] as const),
]);

/** The columns of a table's key, for an order that does not depend on the database. */
function keyOf(db: Database, table: RunTable) {
  const collated = isPostgres(db) && !orderedAlike.has(table);
  return runTables[table].map((column) => (collated ? sql`${sql.ref(column)} collate "C"` : sql`${sql.ref(column)}`));
}

/** Lets `work` read all rows as of one moment, while others may be writing. */
export async function snapshotOf<Result>(db: Database, work: (snapshot: Snapshot) => Promise<Result>): Promise<Result> {
  const transaction = db.transaction();
  const alone = isPostgres(db)
    ? transaction.setIsolationLevel("repeatable read").setAccessMode("read only")
    : transaction;
  return await alone.execute(async (rows) => work(snapshot(rows)));
}

const filterOf = (table: RunTable) => (table === "meta" ? sql`name not in (${sql.join(ofTheDatabase)})` : sql`1 = 1`);

function snapshot(db: Database): Snapshot {
  return {
    schema: exchangedSchema,
    async count(table) {
      const { rows } = await sql<{ count: number }>`
        select count(*) as count from ${sql.table(table)} where ${filterOf(table)}`.execute(db);
      return Number(rows[0]!.count);
    },
    async *rows(table) {
      for await (const page of table === "responses" || table === "scores" ? byPrompt(db, table) : byKey(db, table))
        yield page.map((row) => exchanged(table, row));
    },
  };
}

async function* byKey(db: Database, table: RunTable): AsyncGenerator<readonly StoredRow[]> {
  const key = sql.join(keyOf(db, table));
  let after: StoredRow | undefined;
  for (;;) {
    const beyond =
      after === undefined
        ? sql`1 = 1`
        : sql`(${key}) > (${sql.join(runTables[table].map((column) => after![column]))})`;
    const { rows } = await sql<StoredRow>`
      select * from ${sql.table(table)} where ${filterOf(table)} and ${beyond}
      order by ${key} limit ${sql.lit(pageRows)}`.execute(db);
    if (rows.length > 0) yield rows;
    if (rows.length < pageRows) return;
    after = rows.at(-1)!;
  }
}

/** Rows whose indexes begin with the prompts' numbers, which are others in each ledger: in the order of the messages' keys. */
async function* byPrompt(db: Database, table: "responses" | "scores"): AsyncGenerator<readonly StoredRow[]> {
  for (let [after, together] = ["", 8]; ; ) {
    const prompts = await db
      .selectFrom("prompt_numbers")
      .selectAll()
      .where("messages_key", ">", after)
      .orderBy("messages_key")
      .limit(together)
      .execute();
    if (prompts.length === 0) return;
    after = prompts.at(-1)!.messages_key;
    const { rows } = await sql<StoredRow>`
      select ${sql.table(table)}.* from prompt_numbers join ${sql.table(table)} using (prompt_no)
      where prompt_no in (${sql.join(prompts.map(({ prompt_no }) => prompt_no))})
      order by prompt_numbers.messages_key, ${sql.join(runTables[table].map((column) => sql.ref(`${table}.${column}`)))}`.execute(
      db,
    );
    if (rows.length > 0) yield rows;
    // As many prompts as have about a page of rows.
    if (rows.length < pageRows / 2) together = Math.min(together * 2, pageRows);
    else if (rows.length > pageRows) together = Math.ceil(together / 2);
  }
}

/**
 * Fills an empty ledger. A shared one is filled in one transaction; a file in several, so that its log stays small: whoever
 * fills one does so where nobody looks yet. Throws LedgerError where the ledger has a run already.
 */
export async function fillLedger(db: Database, work: (insert: InsertRows) => Promise<void>): Promise<void> {
  if (isPostgres(db)) {
    await db.transaction().execute(async (transaction) => {
      await lockFor(transaction, "prompts");
      await refuseFilled(transaction);
      await work((table, rows) => insertAll(transaction, table, rows));
    });
    return;
  }
  await refuseFilled(db);
  await work(async (table, rows) => {
    for (let start = 0; start < rows.length; start += committedRows)
      await db
        .transaction()
        .execute((transaction) => insertAll(transaction, table, rows.slice(start, start + committedRows)));
  });
}

async function refuseFilled(db: Database): Promise<void> {
  const { rows } = await sql`select name from meta where ${filterOf("meta")} limit 1`.execute(db);
  if (rows.length === 0) return;
  throw new LedgerError("this ledger holds a run already", {
    field: "ledger.schema",
    hint: "Name another schema: --set ledger.schema=NAME.",
  });
}

async function insertAll(db: Database, table: RunTable, rows: readonly StoredRow[]): Promise<void> {
  // The names of tables and columns are ours; their rows are checked by the database.
  for (const some of chunks(rows))
    await db
      .insertInto(table)
      .values(some as never)
      .execute();
}
