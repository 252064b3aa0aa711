import { counted, countedScores, distinct } from "./counts.ts";
import { drawsOf, type StoredDraw } from "./draws.ts";
import type { Database } from "./tables.ts";

/** How far one source is in one stage. */
export interface DrawStatus {
  readonly stage: string;
  readonly source: string;
  /** Responses asked for: prompts times n. */
  readonly total: number;
  readonly done: number;
  /** Of the done ones, those that the token limit cut off. */
  readonly unfinished: number;
  /** Missing ones whose latest attempt failed. */
  readonly failed: number;
}

/** How far one reward is with the responses of one stage. */
export interface ScoreStatus {
  readonly stage: string;
  readonly reward: string;
  readonly total: number;
  readonly done: number;
  readonly failed: number;
}

/** Counts of responses for every (stage, source) as the recipe stands now. */
export async function drawStatus(db: Database): Promise<DrawStatus[]> {
  const statuses: DrawStatus[] = [];
  const prompts = await db
    .selectFrom("prompts")
    .select((column) => ["split", column.fn.countAll<number>().as("count")])
    .groupBy("split")
    .execute();
  for (const draw of await drawsOf(db)) {
    const { stage, source, sampler, n, splits } = draw;
    const asked = prompts.filter(({ split }) => splits.includes(split));
    const failures = await db
      .selectFrom("failures")
      .innerJoin("prompts", "prompts.messages_key", "failures.messages_key")
      .select((column) => column.fn.countAll<number>().as("count"))
      .where("failures.sampler", "=", sampler)
      .where("failures.idx", "<", n)
      .where("prompts.split", "in", splits)
      .executeTakeFirstOrThrow();
    const { done, unfinished } = await countsOf(db, draw);
    statuses.push({
      stage,
      source,
      total: asked.reduce((sum, { count }) => sum + Number(count), 0) * n,
      done,
      unfinished,
      failed: Number(failures.count),
    });
  }
  return statuses;
}

/** The counts that a draw carries; counted row by row where the writer has not done so yet. */
export const countsOf = async (db: Database, draw: StoredDraw): Promise<{ done: number; unfinished: number }> =>
  draw.done === null || draw.unfinished === null
    ? await counted(db, draw)
    : { done: draw.done, unfinished: draw.unfinished };

/** Counts of scores for every stage and every reward that scored or tried to score any of its responses. */
export async function scoreStatus(db: Database): Promise<ScoreStatus[]> {
  const all = await drawsOf(db);
  const statuses: ScoreStatus[] = [];
  for (const stage of new Set(all.map((draw) => draw.stage))) {
    const draws = all.filter((draw) => draw.stage === stage);
    const total = await responsesDone(db, draws);
    const done = await scoresDone(db, stage, draws);
    const failed = await scoresFailed(db, draws);
    for (const reward of [...new Set([...done.keys(), ...failed.keys()])].sort()) {
      statuses.push({ stage, reward, total, done: done.get(reward) ?? 0, failed: failed.get(reward) ?? 0 });
    }
  }
  return statuses;
}

/** Responses of a stage, those of one source under two names once. */
export async function responsesDone(db: Database, draws: readonly StoredDraw[]): Promise<number> {
  let done = 0;
  for (const draw of distinct(draws)) done += (await countsOf(db, draw)).done;
  return done;
}

export async function scoresDone(
  db: Database,
  stage: string,
  draws: readonly StoredDraw[],
): Promise<Map<string, number>> {
  if (draws.some(({ done }) => done === null)) return await countedScores(db, draws);
  const rows = await db.selectFrom("score_counts").selectAll().where("stage", "=", stage).execute();
  return new Map(rows.map(({ reward, done }) => [reward, done]));
}

async function scoresFailed(db: Database, draws: readonly StoredDraw[]): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const { sampler, n, splits } of distinct(draws)) {
    const rows = await db
      .selectFrom("score_failures")
      // A cross join in SQLite is one in this order: there are few failures, and millions of responses.
      .crossJoin("responses")
      .crossJoin("prompts")
      .select((column) => ["score_failures.reward", column.fn.countAll<number>().as("count")])
      .whereRef("responses.prompt_no", "=", "score_failures.prompt_no")
      .whereRef("responses.key", "=", "score_failures.response_key")
      .whereRef("prompts.prompt_no", "=", "responses.prompt_no")
      .whereRef("prompts.checks_key", "=", "score_failures.checks_key")
      .where("responses.sampler", "=", sampler)
      .where("responses.idx", "<", n)
      .where("prompts.split", "in", splits)
      .groupBy("score_failures.reward")
      .execute();
    for (const { reward, count } of rows) found.set(reward, (found.get(reward) ?? 0) + Number(count));
  }
  return found;
}
