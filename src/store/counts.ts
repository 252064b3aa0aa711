import type { Finish } from "../schema/index.ts";
import { drawsOf, type StoredDraw } from "./draws.ts";
import { transact } from "./engine.ts";
import type { Database, Split } from "./tables.ts";

/**
 * How many responses and scores there are is kept beside what stages ask for, and moves with each batch in its own
 * commit: to count millions of rows anew would take minutes. A draw whose `done` is null has not been counted since the
 * prompts or the draw changed; as long as one of a stage's draws is so, the stage has no counts of scores either.
 */
export interface NewResponse {
  readonly split: Split;
  readonly idx: number;
  readonly finish: Finish;
}

const counts = ({ n, splits }: StoredDraw, { idx, split }: Pick<NewResponse, "idx" | "split">): boolean =>
  idx < n && splits.includes(split);

/** Adds new responses of a sampler to the counts of every draw that they count for. */
export async function countResponses(db: Database, sampler: string, added: readonly NewResponse[]): Promise<void> {
  if (added.length === 0) return;
  const draws = (await drawsOf(db)).filter((draw) => draw.sampler === sampler);
  for (const draw of draws) {
    const own = added.filter((response) => counts(draw, response));
    if (own.length === 0) continue;
    const cut = own.filter(({ finish }) => finish === "length").length;
    await db
      .updateTable("draws")
      .set((row) => ({ done: row("done", "+", own.length), unfinished: row("unfinished", "+", cut) }))
      .where("stage", "=", draw.stage)
      .where("source", "=", draw.source)
      .execute();
  }
}

export interface NewScore {
  readonly split: Split;
  readonly idx: number;
  readonly sampler: string;
}

/** Adds new scores of a reward to the counts of every stage that they count for. */
export async function countScores(db: Database, reward: string, added: readonly NewScore[]): Promise<void> {
  if (added.length === 0) return;
  for (const [stage, draws] of byStage(await drawsOf(db))) {
    if (draws.some(({ done }) => done === null)) continue;
    const own = added.filter((score) =>
      distinct(draws).some((draw) => draw.sampler === score.sampler && counts(draw, score)),
    );
    if (own.length === 0) continue;
    await db
      .insertInto("score_counts")
      .values({ stage, reward, done: own.length })
      .onConflict((conflict) =>
        conflict
          .columns(["stage", "reward"])
          .doUpdateSet((row) => ({ done: row("score_counts.done", "+", own.length) })),
      )
      .execute();
  }
}

/** Two names for one source share their responses, and so their scores: the first stands for both. */
export const distinct = (draws: readonly StoredDraw[]): StoredDraw[] =>
  draws.filter(({ sampler }, at) => draws.findIndex((draw) => draw.sampler === sampler) === at);

function byStage(draws: readonly StoredDraw[]): Map<string, StoredDraw[]> {
  const stages = new Map<string, StoredDraw[]>();
  for (const draw of draws) stages.set(draw.stage, [...(stages.get(draw.stage) ?? []), draw]);
  return stages;
}

/** Forgets all counts: the prompts have changed. */
export async function forgetCounts(db: Database): Promise<void> {
  await db.updateTable("draws").set({ done: null, unfinished: null }).execute();
  await db.deleteFrom("score_counts").execute();
}

/** Counts anew what has not been counted since it changed. */
export async function recount(db: Database, stage: string): Promise<void> {
  await transact(db, async (transaction) => {
    // Locks the rows before it counts: who adds responses meanwhile waits, and adds to what is counted here.
    await transaction.updateTable("draws").set({ stage }).where("stage", "=", stage).execute();
    const draws = await drawsOf(transaction, stage);
    if (draws.every(({ done }) => done !== null)) return;
    for (const draw of draws.filter(({ done }) => done === null)) {
      await transaction
        .updateTable("draws")
        .set(await counted(transaction, draw))
        .where("stage", "=", stage)
        .where("source", "=", draw.source)
        .execute();
    }
    await transaction.deleteFrom("score_counts").where("stage", "=", stage).execute();
    for (const [reward, done] of await countedScores(transaction, draws)) {
      await transaction.insertInto("score_counts").values({ stage, reward, done }).execute();
    }
  });
}

/** Moves the counts of a draw from the number of responses that it asked for to another one, by those between the two. */
export async function shiftCounts(db: Database, known: StoredDraw, n: number): Promise<Counts> {
  const [from, to, sign] = n > known.n ? [known.n, n, 1] : [n, known.n, -1];
  const between = await counted(db, { ...known, n: to }, from);
  for (const [reward, done] of await countedScores(db, [{ ...known, n: to }], from)) {
    await db
      .insertInto("score_counts")
      .values({ stage: known.stage, reward, done: sign * done })
      .onConflict((conflict) =>
        conflict
          .columns(["stage", "reward"])
          .doUpdateSet((row) => ({ done: row("score_counts.done", "+", sign * done) })),
      )
      .execute();
  }
  return {
    done: known.done! + sign * between.done,
    unfinished: known.unfinished! + sign * between.unfinished,
  };
}

interface Counts {
  readonly done: number;
  readonly unfinished: number;
}

/** Counts the responses of a draw from this index on, row by row. */
export async function counted(db: Database, { sampler, n, splits }: StoredDraw, from = 0): Promise<Counts> {
  // A cross join in SQLite is one in this order: it walks along the index of the responses, and the prompts are few.
  const drawn = db
    .selectFrom("responses")
    .crossJoin("prompts")
    .select((column) => column.fn.countAll<number>().as("count"))
    .whereRef("prompts.prompt_no", "=", "responses.prompt_no")
    .where("responses.sampler", "=", sampler)
    .where("responses.idx", ">=", from)
    .where("responses.idx", "<", n)
    .where("prompts.split", "in", splits);
  // Apart: each is answered from an index, without the texts.
  const all = await drawn.executeTakeFirstOrThrow();
  const cut = await drawn.where("responses.finish", "=", "length").executeTakeFirstOrThrow();
  return { done: Number(all.count), unfinished: Number(cut.count) };
}

/** Counts the scores of a stage's responses from this index on for each reward, row by row. */
export async function countedScores(
  db: Database,
  draws: readonly StoredDraw[],
  from = 0,
): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const { sampler, n, splits } of distinct(draws)) {
    const rows = await db
      .selectFrom("responses")
      .crossJoin("prompts")
      .crossJoin("scores")
      .select((column) => ["scores.reward", column.fn.countAll<number>().as("count")])
      .whereRef("prompts.prompt_no", "=", "responses.prompt_no")
      .whereRef("scores.prompt_no", "=", "responses.prompt_no")
      .whereRef("scores.response_key", "=", "responses.key")
      .whereRef("scores.checks_key", "=", "prompts.checks_key")
      .where("responses.sampler", "=", sampler)
      .where("responses.idx", ">=", from)
      .where("responses.idx", "<", n)
      .where("prompts.split", "in", splits)
      .groupBy("scores.reward")
      .execute();
    for (const { reward, count } of rows) found.set(reward, (found.get(reward) ?? 0) + Number(count));
  }
  return found;
}
