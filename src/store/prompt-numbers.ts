import { sql } from "kysely";
import { chunks } from "./chunks.ts";
import { isPostgres } from "./engine.ts";
import type { Database } from "./tables.ts";

/** The numbers of these messages; new ones get the next numbers, in their order. One transaction at a time may do this. */
export async function numberPrompts(db: Database, messagesKeys: readonly string[]): Promise<Map<string, number>> {
  const numbers = new Map<string, number>();
  for (const some of chunks(messagesKeys)) {
    const known = await db.selectFrom("prompt_numbers").selectAll().where("messages_key", "in", some).execute();
    for (const { messages_key, prompt_no } of known) numbers.set(messages_key, prompt_no);
    const added = some.filter((key) => !numbers.has(key));
    if (added.length === 0) continue;
    const { last } = await db
      .selectFrom("prompt_numbers")
      .select((column) => column.fn.max("prompt_no").as("last"))
      .executeTakeFirstOrThrow();
    const rows = added.map((messages_key, at) => ({ messages_key, prompt_no: (last ?? 0) + 1 + at }));
    await db.insertInto("prompt_numbers").values(rows).execute();
    for (const { messages_key, prompt_no } of rows) numbers.set(messages_key, prompt_no);
  }
  return numbers;
}

/** What stands in `meta` while rows are moved: the number up to which they are. */
const movedName = "moved_prompts";
/** Prompts whose rows are moved in one commit. */
const movedTogether = 128;

const responseColumns = [
  ...(["key", "sampler", "messages_key", "idx", "text_json", "finish"] as const),
  ...(["prompt_tokens", "response_tokens", "created_at", "extras_json"] as const),
];
const scoreColumns = ["response_key", "reward", "checks_key", "value", "parts_json", "created_at"] as const;

/**
 * Numbers all messages, those of prompts in their order first, and makes tables for responses and scores whose indexes begin with these
 * numbers. The tables that were there wait under other names, to be moved.
 */
export async function addPromptNumbers(db: Database): Promise<void> {
  const { schema } = db;
  await schema
    .createTable("prompt_numbers")
    .addColumn("prompt_no", "integer", (column) => column.primaryKey())
    .addColumn("messages_key", "text", (column) => column.notNull().unique())
    .execute();
  await sql`insert into prompt_numbers (prompt_no, messages_key)
    select row_number() over (order by position), messages_key from prompts`.execute(db);
  await sql`insert into prompt_numbers (prompt_no, messages_key)
    select (select coalesce(max(prompt_no), 0) from prompt_numbers) + row_number() over (order by messages_key), messages_key
    from (select distinct messages_key from responses
      where messages_key not in (select messages_key from prompt_numbers)) gone`.execute(db);
  await schema.alterTable("prompts").addColumn("prompt_no", "integer").execute();
  await sql`update prompts set prompt_no =
    (select prompt_no from prompt_numbers where prompt_numbers.messages_key = prompts.messages_key)`.execute(db);
  await schema.createIndex("prompts_numbered").unique().on("prompts").column("prompt_no").execute();
  await schema.alterTable("score_failures").addColumn("prompt_no", "integer").execute();
  await sql`update score_failures set prompt_no = (select prompt_no from prompt_numbers, responses
    where responses.key = score_failures.response_key
    and prompt_numbers.messages_key = responses.messages_key)`.execute(db);

  await schema.dropIndex("responses_cut_off").execute();
  await schema.alterTable("responses").renameTo("responses_to_move").execute();
  await schema.alterTable("scores").renameTo("scores_to_move").execute();
  await schema
    .createTable("responses")
    .addColumn("key", "text", (column) => column.notNull())
    .addColumn("sampler", "text", (column) => column.notNull())
    .addColumn("messages_key", "text", (column) => column.notNull())
    .addColumn("idx", "integer", (column) => column.notNull())
    .addColumn("text_json", "text", (column) => column.notNull())
    .addColumn("finish", "text", (column) => column.notNull())
    .addColumn("prompt_tokens", "integer", (column) => column.notNull())
    .addColumn("response_tokens", "integer", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("extras_json", "text")
    .addColumn("prompt_no", "integer", (column) => column.notNull())
    .addUniqueConstraint("responses_once", ["sampler", "prompt_no", "idx"])
    .addUniqueConstraint("responses_of_prompt", ["prompt_no", "key"])
    .execute();
  await schema
    .createIndex("responses_cut")
    .on("responses")
    .columns(["sampler", "prompt_no", "idx"])
    .where(sql.ref("finish"), "=", sql.lit("length"))
    .execute();
  await schema
    .createTable("scores")
    .addColumn("response_key", "text", (column) => column.notNull())
    .addColumn("reward", "text", (column) => column.notNull())
    .addColumn("checks_key", "text", (column) => column.notNull())
    .addColumn("value", sql`double precision`, (column) => column.notNull())
    .addColumn("parts_json", "text", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("prompt_no", "integer", (column) => column.notNull())
    .addPrimaryKeyConstraint("scores_of_prompt", ["prompt_no", "response_key", "reward", "checks_key"])
    .execute();
}

/**
 * Moves the responses and scores of the next prompts, and says whether more may be left. The old rows stay until all are moved: to remove
 * them one by one from their scattered indexes would take longer than all the rest.
 */
export async function moveSomePrompts(db: Database): Promise<boolean> {
  const { last } = await db
    .selectFrom("prompt_numbers")
    .select((column) => column.fn.max("prompt_no").as("last"))
    .executeTakeFirstOrThrow();
  const stored = await db.selectFrom("meta").select("value").where("name", "=", movedName).executeTakeFirst();
  const moved = Number(stored?.value ?? 0);
  if (moved >= (last ?? 0)) return false;
  const upTo = moved + movedTogether;
  const samplers = await samplersToMove(db);
  if (samplers.length > 0)
    // A cross join in SQLite is one in this order: prompt by prompt.
    await sql`insert into responses (${columns(responseColumns)}, prompt_no)
      select ${columns(responseColumns, "old")}, n.prompt_no from prompt_numbers n cross join responses_to_move old
      where n.prompt_no > ${moved} and n.prompt_no <= ${upTo}
      and old.sampler in (${sql.join(samplers)}) and old.messages_key = n.messages_key`.execute(db);
  await sql`insert into scores (${columns(scoreColumns)}, prompt_no)
    select ${columns(scoreColumns, "old")}, r.prompt_no from responses r cross join scores_to_move old
    where r.prompt_no > ${moved} and r.prompt_no <= ${upTo} and old.response_key = r.key`.execute(db);
  await db
    .insertInto("meta")
    .values({ name: movedName, value: String(upTo) })
    .onConflict((conflict) => conflict.column("name").doUpdateSet({ value: String(upTo) }))
    .execute();
  return true;
}

/** Removes what was moved. */
export async function dropMoved(db: Database): Promise<void> {
  await db.schema.dropTable("scores_to_move").execute();
  await db.schema.dropTable("responses_to_move").execute();
  await db.deleteFrom("meta").where("name", "=", movedName).execute();
  // What a score that never came was to be of is gone.
  await sql`delete from score_failures where prompt_no is null`.execute(db);
  if (isPostgres(db)) {
    for (const table of ["prompts", "score_failures"])
      await sql`alter table ${sql.table(table)} alter column prompt_no set not null`.execute(db);
  }
}

const columns = (names: readonly string[], of?: string) =>
  sql.join(names.map((name) => sql.ref(of === undefined ? name : `${of}.${name}`)));

/** The samplers of the rows to move, each found by one look into their index. */
async function samplersToMove(db: Database): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const { rows } = await sql<{ next: string | null }>`
      select min(sampler) as next from responses_to_move where sampler > ${found.at(-1) ?? ""}`.execute(db);
    const { next } = rows[0]!;
    if (next === null) return found;
    found.push(next);
  }
}
