import { drawsOf } from "./draws.ts";
import type { Database } from "./sqlite.ts";

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
  for (const { stage, source, sampler, n, splits } of await drawsOf(db)) {
    const prompts = await db
      .selectFrom("prompts")
      .select((column) => column.fn.countAll<number>().as("count"))
      .where("split", "in", splits)
      .executeTakeFirstOrThrow();
    const responses = await db
      .selectFrom("prompts")
      .innerJoin("responses", "responses.messages_key", "prompts.messages_key")
      .select((column) => ["responses.finish", column.fn.countAll<number>().as("count")])
      .where("responses.sampler", "=", sampler)
      .where("responses.idx", "<", n)
      .where("prompts.split", "in", splits)
      .groupBy("responses.finish")
      .execute();
    const failures = await db
      .selectFrom("failures")
      .innerJoin("prompts", "prompts.messages_key", "failures.messages_key")
      .select((column) => column.fn.countAll<number>().as("count"))
      .where("failures.sampler", "=", sampler)
      .where("failures.idx", "<", n)
      .where("prompts.split", "in", splits)
      .executeTakeFirstOrThrow();
    const ended = (finish: string) => Number(responses.find((row) => row.finish === finish)?.count ?? 0);
    statuses.push({
      stage,
      source,
      total: Number(prompts.count) * n,
      done: ended("stop") + ended("length"),
      unfinished: ended("length"),
      failed: Number(failures.count),
    });
  }
  return statuses;
}

/** Counts of scores for every stage and every reward that scored or tried to score any of its responses. */
export async function scoreStatus(db: Database): Promise<ScoreStatus[]> {
  const draws = await drawsOf(db);
  const statuses: ScoreStatus[] = [];
  for (const stage of new Set(draws.map((draw) => draw.stage))) {
    const counted = new Map<string, { done: number; failed: number }>();
    const countsOf = (reward: string) => {
      const counts = counted.get(reward) ?? { done: 0, failed: 0 };
      counted.set(reward, counts);
      return counts;
    };
    // Two names for one source share their responses, and so their scores.
    const shared = new Set<string>();
    let total = 0;
    for (const { sampler, n, splits } of draws.filter((draw) => draw.stage === stage)) {
      if (shared.has(sampler)) continue;
      shared.add(sampler);
      const drawn = db
        .selectFrom("prompts")
        .innerJoin("responses", "responses.messages_key", "prompts.messages_key")
        .where("responses.sampler", "=", sampler)
        .where("responses.idx", "<", n)
        .where("prompts.split", "in", splits);
      const responses = await drawn
        .select((column) => column.fn.countAll<number>().as("count"))
        .executeTakeFirstOrThrow();
      total += Number(responses.count);
      const scored = await drawn
        .innerJoin("scores", (join) =>
          join.onRef("scores.response_key", "=", "responses.key").onRef("scores.checks_key", "=", "prompts.checks_key"),
        )
        .select((column) => ["scores.reward", column.fn.countAll<number>().as("count")])
        .groupBy("scores.reward")
        .execute();
      const failed = await drawn
        .innerJoin("score_failures", (join) =>
          join
            .onRef("score_failures.response_key", "=", "responses.key")
            .onRef("score_failures.checks_key", "=", "prompts.checks_key"),
        )
        .select((column) => ["score_failures.reward", column.fn.countAll<number>().as("count")])
        .groupBy("score_failures.reward")
        .execute();
      for (const { reward, count } of scored) countsOf(reward).done += Number(count);
      for (const { reward, count } of failed) countsOf(reward).failed += Number(count);
    }
    for (const [reward, counts] of [...counted].sort(([a], [b]) => (a < b ? -1 : 1))) {
      statuses.push({ stage, reward, total, ...counts });
    }
  }
  return statuses;
}
