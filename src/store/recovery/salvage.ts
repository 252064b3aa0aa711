import { sql } from "kysely";
import { chunks } from "../chunks.ts";
import { recount } from "../counts.ts";
import { drawsOf } from "../draws.ts";
import { transact } from "../engine.ts";
import { migrate, migrationsTo, newestSchema, refuseNewer } from "../migrations.ts";
import { digestName } from "../prompts.ts";
import { exchangedSchema } from "../raw-rows.ts";
import { openSqlite } from "../sqlite.ts";
import type { Database } from "../tables.ts";
import { isLeaf, type Row, rowsOn, type Value } from "./cells.ts";
import type { Pages } from "./pages.ts";
import { asRecord, type Column, keyedTables, runTables, type TableName, tableOf } from "./rows.ts";
import { firstPages, greatestNamed, reach } from "./tree.ts";

/** What became of a table. */
export interface SavedTable {
  readonly name: TableName;
  readonly saved: number;
  /** Rows that have been there and could not be read; undefined where that can't be told. */
  readonly lost: number | undefined;
}

/** Rows that are stored at once. */
const storedTogether = 2000;

/** Copies every row of a damaged ledger that can be read into a new one, `target`, and gives what became of each table. */
export async function salvage(pages: Pages, target: string): Promise<SavedTable[]> {
  const db = openSqlite(target);
  try {
    // Rows of any schema are told by the columns of this one; it is brought up to date when all are there.
    await migrate(db, target, migrationsTo(exchangedSchema));
    const first = firstPages(pages);
    const columns = await columnsOf(db);
    const expected = await saveKeyed(db, pages, columns);
    const told: SavedTable[] = [];
    for (const name of runTables) {
      const at = first.get(name);
      const found = at === undefined ? undefined : reach(pages, at);
      const records = (found?.rows ?? [])
        .map((row) => asRecord(name, row, columns.get(name)!))
        .filter((record) => record !== undefined);
      if (name === "meta") refuseNewerSchema(records, target);
      // The new file has its own schema's version.
      const kept = records.filter((record) => name !== "meta" || record.name !== "schema_version");
      await insert(db, name, kept);
      const isWhole = found !== undefined && found.lostPages === 0;
      told.push({
        name,
        saved: kept.length,
        lost: isWhole ? found.unreadable + found.rows.length - records.length : undefined,
      });
    }
    const should = new Map(keyedTables.map((name) => [name, expected.get(name) ?? 0]));
    for (const name of keyedTables) {
      const at = first.get(name);
      if (at !== undefined) should.set(name, Math.max(should.get(name)!, greatestNamed(pages, at)));
    }
    should.set("responses", Math.max(should.get("responses")!, await countedBefore(db)));
    await migrate(db, target);
    await settle(db);
    for (const name of keyedTables) {
      const saved = await countRows(db, name);
      told.push({ name, saved, lost: Math.max(0, should.get(name)! - saved) });
    }
    return told;
  } finally {
    await db.destroy();
  }
}

function refuseNewerSchema(meta: readonly Record<string, Value>[], file: string): void {
  const version = Number(meta.find((record) => record.name === "schema_version")?.value ?? 0);
  refuseNewer(version, newestSchema, file);
}

/** Stores what stands under content keys, from every page of the file; gives the greatest row number of each table. */
async function saveKeyed(
  db: Database,
  pages: Pages,
  columns: ReadonlyMap<TableName, readonly Column[]>,
): Promise<Map<TableName, number>> {
  const greatest = new Map<TableName, number>();
  const waiting = new Map<TableName, Record<string, Value>[]>();
  const take = async (row: Row | undefined) => {
    const name = row && tableOf(row);
    if (name === undefined) return;
    greatest.set(name, Math.max(greatest.get(name) ?? 0, row!.number));
    const record = asRecord(name, row!, columns.get(name)!);
    if (record === undefined) return;
    const rows = waiting.get(name) ?? [];
    waiting.set(name, rows);
    rows.push(record);
    if (rows.length >= storedTogether) await insert(db, name, rows.splice(0));
  };
  for (let number = 1; number <= pages.count; number += 1) {
    const page = pages.page(number);
    if (page !== undefined && isLeaf(page, number)) for (const row of rowsOn(pages, page, number)) await take(row);
  }
  for (const page of pages.loose()) if (isLeaf(page)) for (const row of rowsOn(pages, page)) await take(row);
  for (const [name, rows] of waiting) await insert(db, name, rows);
  return greatest;
}

async function insert(db: Database, name: TableName, rows: readonly Record<string, Value>[]): Promise<void> {
  await transact(db, async (transaction) => {
    for (const some of chunks(rows))
      await transaction
        .insertInto(name)
        .values(some as never)
        .onConflict((conflict) => conflict.doNothing())
        .execute();
  });
}

async function countRows(db: Database, name: TableName): Promise<number> {
  const { count } = await db
    .selectFrom(name)
    .select((column) => column.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Responses that the damaged ledger counted itself; a lower bound of what it held. */
async function countedBefore(db: Database): Promise<number> {
  const most = new Map<string, number>();
  for (const { sampler, done } of await drawsOf(db)) most.set(sampler, Math.max(most.get(sampler) ?? 0, done ?? 0));
  return [...most.values()].reduce((sum, done) => sum + done, 0);
}

/** Counts anew, and has the run look at everything again: it asks what is missing, and finds all that was saved. */
async function settle(db: Database): Promise<void> {
  await transact(db, async (transaction) => {
    await transaction.updateTable("draws").set({ done: null, unfinished: null }).execute();
    await transaction.updateTable("stages").set({ state: "running" }).where("state", "=", "done").execute();
    // A response that is asked for again may have another text under the same key.
    for (const table of ["scores", "score_failures"] as const)
      await transaction
        .deleteFrom(table)
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom("responses")
                .select("key")
                .whereRef("responses.prompt_no", "=", `${table}.prompt_no`)
                .whereRef("responses.key", "=", `${table}.response_key`),
            ),
          ),
        )
        .execute();
    await transaction.deleteFrom("meta").where("name", "in", [digestName, "writer"]).execute();
  });
  for (const stage of new Set((await drawsOf(db)).map((draw) => draw.stage))) await recount(db, stage);
}

async function columnsOf(db: Database): Promise<Map<TableName, readonly Column[]>> {
  const found = new Map<TableName, readonly Column[]>();
  for (const name of [...keyedTables, ...runTables]) {
    const { rows } =
      await sql<Column>`select name, type, "notnull" from pragma_table_info(${name}) order by cid`.execute(db);
    found.set(name, rows);
  }
  return found;
}
