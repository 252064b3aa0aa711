import { sql } from "kysely";
import { counted, countedScores } from "./counts.ts";
import { drawnKey, drawsOf } from "./draws.ts";
import { isPostgres } from "./engine.ts";
import type { Database, Tables } from "./tables.ts";

/** Rows that are read at once. */
const pageSize = 5000;

/** What is wrong with a ledger of the newest schema: its file's structure, the keys of its responses, and its counts. Reads all of it. */
export async function faultsIn(db: Database): Promise<string[]> {
  const faults = await faultsOfStructure(db);
  if (faults.length > 0) return faults;
  return [...(await faultsOfKeys(db)), ...(await faultsOfCounts(db))];
}

/** What SQLite says of its file, of whatever schema; PostgreSQL looks after its own. */
export async function faultsOfStructure(db: Database): Promise<string[]> {
  if (isPostgres(db)) return [];
  const { rows } = await sql<{ quick_check: string }>`PRAGMA quick_check(5)`.execute(db);
  return rows.map((row) => row.quick_check).filter((text) => text !== "ok");
}

type Keys = Pick<Tables["responses"], "key" | "sampler" | "messages_key" | "idx" | "prompt_no"> & {
  readonly numbered: string | null;
};

async function faultsOfKeys(db: Database): Promise<string[]> {
  let wrong = 0;
  for (let after = { promptNo: 0, key: "" }; ; ) {
    const { rows } = await sql<Keys>`
      select r.key, r.sampler, r.messages_key, r.idx, r.prompt_no, n.messages_key as numbered
      from responses r left join prompt_numbers n on n.prompt_no = r.prompt_no
      where (r.prompt_no, r.key) > (${after.promptNo}, ${after.key})
      order by r.prompt_no, r.key limit ${sql.lit(pageSize)}`.execute(db);
    for (const { key, sampler, messages_key, idx, numbered } of rows)
      if (key !== drawnKey(messages_key, sampler, idx) || numbered !== messages_key) wrong += 1;
    if (rows.length === 0) break;
    const { prompt_no, key } = rows.at(-1)!;
    after = { promptNo: prompt_no, key };
  }
  return wrong === 0 ? [] : [`${wrong} responses stand under keys that are not theirs`];
}

async function faultsOfCounts(db: Database): Promise<string[]> {
  const faults: string[] = [];
  // A ledger of an early schema has no counts.
  const draws = await drawsOf(db);
  for (const draw of draws.filter(({ done }) => done != null)) {
    const { done, unfinished } = await counted(db, draw);
    if (done !== draw.done || unfinished !== draw.unfinished)
      faults.push(`${draw.stage}, ${draw.source}: counts ${draw.done} responses and holds ${done}`);
  }
  for (const stage of new Set(draws.map((draw) => draw.stage))) {
    const own = draws.filter((draw) => draw.stage === stage);
    if (own.some(({ done }) => done == null)) continue;
    const there = await countedScores(db, own);
    const rows = await db.selectFrom("score_counts").selectAll().where("stage", "=", stage).execute();
    const told = new Map(rows.map(({ reward, done }) => [reward, done]));
    for (const reward of new Set([...there.keys(), ...told.keys()])) {
      const [counts, holds] = [told.get(reward) ?? 0, there.get(reward) ?? 0];
      if (counts !== holds) faults.push(`${stage}: counts ${counts} scores and holds ${holds}`);
    }
  }
  return faults;
}
