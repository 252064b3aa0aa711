import { type RawBuilder, sql } from "kysely";
import { type Draw, drawsOf, type StoredDraw, samplerKey } from "./draws.ts";
import { isPostgres, transact } from "./engine.ts";
import type { RunTable } from "./raw-rows.ts";
import type { Database } from "./tables.ts";

/** What of a ledger is needed beside what its draws ask for. */
export interface Needed {
  /** The identity of the reward. */
  readonly reward: string;
  /** Whose reference log-probs: see `ReferenceLogpKey`; undefined where not all of these models are known. */
  readonly models: readonly string[] | undefined;
  readonly evaluations: readonly { readonly name: string; readonly inputs: string }[];
  /** What a stage may ask for when it comes, beside what stages have asked for. */
  readonly draws?: readonly Draw[];
}

type Asking = Pick<StoredDraw, "sampler" | "n" | "splits">;

/** Rows of one table that nothing refers to; bytes of their texts. */
export interface Garbage {
  readonly table: RunTable;
  readonly rows: number;
  readonly bytes: number;
}

type Condition = RawBuilder<unknown>;
const no = sql`1 = 0`;
const oneOf = (conditions: readonly Condition[]) =>
  conditions.length === 0 ? no : sql`(${sql.join(conditions, sql` or `)})`;

/** Whether a draw asks for a response (or its failure) to a prompt p. */
const asked = (draws: readonly Asking[], of: "r" | "failures" | "responses") =>
  oneOf(
    draws.map(
      ({ sampler, n, splits }) =>
        sql`(${sql.ref(`${of}.sampler`)} = ${sampler} and ${sql.ref(`${of}.idx`)} < ${n} and p.split in (${sql.join(splits)}))`,
    ),
  );

const unasked = (draws: readonly Asking[], of: "failures" | "responses") => {
  const prompt = of === "responses" ? "prompt_no" : "messages_key";
  return sql`not exists (
    select 1 from prompts p where ${sql.ref(`p.${prompt}`)} = ${sql.ref(`${of}.${prompt}`)} and ${asked(draws, of)})`;
};

const unscored = (draws: readonly Asking[], of: "scores" | "score_failures", reward: string) => sql`(
  reward <> ${reward} or not exists (select 1 from responses r, prompts p where r.prompt_no = ${sql.ref(`${of}.prompt_no`)}
  and r.key = ${sql.ref(`${of}.response_key`)} and p.prompt_no = r.prompt_no and p.checks_key = ${sql.ref(`${of}.checks_key`)} and ${asked(draws, "r")}))`;

const notIn = (column: string, values: readonly string[]) =>
  values.length === 0 ? sql`1 = 1` : sql`${sql.ref(column)} not in (${sql.join(values)})`;

/** What no draw and nothing that is needed refers to; scores before the responses that they are of. */
function conditions(
  stored: readonly StoredDraw[],
  { reward, models, evaluations, draws: further = [] }: Needed,
): readonly [table: RunTable, texts: readonly string[], condition: Condition][] {
  const kept = evaluations.map(({ name, inputs }) => sql`(name = ${name} and inputs = ${inputs})`);
  const draws: Asking[] = [
    ...stored,
    ...further.map(({ identity, sampling, ...draw }) => ({ ...draw, sampler: samplerKey(identity, sampling) })),
  ];
  const samplers = draws.map(({ sampler }) => sampler);
  return [
    ["scores", ["response_key", "reward", "checks_key", "parts_json"], unscored(draws, "scores", reward)],
    ["score_failures", ["response_key", "failure_json"], unscored(draws, "score_failures", reward)],
    ["score_counts", ["stage", "reward"], sql`reward <> ${reward}`],
    ["responses", ["key", "sampler", "messages_key", "text_json", "extras_json"], unasked(draws, "responses")],
    ["failures", ["sampler", "messages_key", "failure_json"], unasked(draws, "failures")],
    ["samplers", ["key", "identity", "sampling_json"], notIn("key", samplers)],
    ["selections", ["prompt_id", "further_sources_json"], sql`prompt_id not in (select id from prompts)`],
    [
      "reference_logps",
      ["model", "template", "prompt_tokens", "response"],
      models === undefined ? no : notIn("model", models),
    ],
    ["evaluations", ["name", "inputs", "result_json"], sql`not ${oneOf(kept)}`],
  ];
}

/** Finds what nothing refers to, and removes it in one transaction where `remove` says so. */
export async function collectGarbage(db: Database, needed: Needed, remove: boolean): Promise<Garbage[]> {
  return await transact(db, async (transaction) => {
    const found: Garbage[] = [];
    for (const [table, texts, condition] of conditions(await drawsOf(transaction), needed)) {
      const bytes = sql.join(
        texts.map((column) => sql`coalesce(octet_length(${sql.ref(column)}), 0)`),
        sql` + `,
      );
      const { rows } = await sql<{ count: number; bytes: number | null }>`
        select count(*) as count, sum(${bytes}) as bytes from ${sql.table(table)} where ${condition}`.execute(
        transaction,
      );
      const [{ count, bytes: sum }] = rows as [(typeof rows)[0]];
      if (Number(count) === 0) continue;
      found.push({ table, rows: Number(count), bytes: Number(sum) });
      if (remove) await sql`delete from ${sql.table(table)} where ${condition}`.execute(transaction);
    }
    return found;
  });
}

/** Bytes of the ledger, and of them those that hold rows; a file's only. */
export async function fileSize(db: Database): Promise<{ readonly bytes: number; readonly used: number } | undefined> {
  if (isPostgres(db)) return undefined;
  const of = async (name: "page_count" | "page_size" | "freelist_count") => {
    const { rows } = await sql<Record<string, number>>`pragma ${sql.raw(name)}`.execute(db);
    return rows[0]![name]!;
  };
  const [pages, size, free] = [await of("page_count"), await of("page_size"), await of("freelist_count")];
  return { bytes: pages * size, used: (pages - free) * size };
}

/** Gives the space of removed rows back to the system. A file needs room for twice its used bytes meanwhile, in its own folder. */
export async function compact(db: Database, folder: string, tables: readonly RunTable[]): Promise<void> {
  if (isPostgres(db)) {
    for (const table of tables) await sql`vacuum full ${sql.table(table)}`.execute(db);
    return;
  }
  // The copy that is made meanwhile would otherwise be held in memory.
  await sql`pragma temp_store = file`.execute(db);
  await sql`pragma temp_store_directory = ${sql.lit(folder)}`.execute(db);
  await sql`vacuum`.execute(db);
}
