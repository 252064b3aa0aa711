import { sql } from "kysely";
import { counted, countedScores } from "./counts.ts";
import { drawnKey, drawsOf } from "./draws.ts";
import { isPostgres } from "./engine.ts";
import type { Database } from "./tables.ts";

/** Rows that are read at once. */
const pageSize = 5000;

/** What is wrong with a ledger: its file's structure, the keys of its responses, and its counts. Reads all of it. */
export async function faultsIn(db: Database): Promise<string[]> {
  if (!isPostgres(db)) {
    const { rows } = await sql<{ quick_check: string }>`PRAGMA quick_check(5)`.execute(db);
    const faults = rows.map((row) => row.quick_check).filter((text) => text !== "ok");
    if (faults.length > 0) return faults;
  }
  return [...(await faultsOfKeys(db)), ...(await faultsOfCounts(db))];
}

async function faultsOfKeys(db: Database): Promise<string[]> {
  let wrong = 0;
  for (let after = ""; ; ) {
    const rows = await db
      .selectFrom("responses")
      .select(["key", "sampler", "messages_key", "idx"])
      .where("key", ">", after)
      .orderBy("key")
      .limit(pageSize)
      .execute();
    for (const { key, sampler, messages_key, idx } of rows)
      if (key !== drawnKey(messages_key, sampler, idx)) wrong += 1;
    if (rows.length === 0) break;
    after = rows.at(-1)!.key;
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
