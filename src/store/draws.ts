import { contentKey, type Message, type Sampling } from "../schema/index.ts";
import type { Database } from "./sqlite.ts";
import type { Split } from "./tables.ts";

/** What a stage asks of one source: `n` responses to every prompt of `splits`. */
export interface Draw {
  readonly source: string;
  /** What decides the source's answers: see `Source.identity`. */
  readonly identity: string;
  readonly sampling: Sampling;
  readonly n: number;
  readonly splits: readonly Split[];
}

/** Content key of a response: (prompt's messages, source's identity, sampling, index). */
export function responseKey(messages: readonly Message[], identity: string, sampling: Sampling, index: number): string {
  return drawnKey(contentKey(messages), samplerKey(identity, sampling), index);
}

/** The same key from the keys that the tables hold. */
export const drawnKey = (messagesKey: string, sampler: string, index: number): string =>
  contentKey({ messages: messagesKey, sampler, index });

const samplerKey = (identity: string, sampling: Sampling) => contentKey({ identity, sampling });

/** Replaces what a stage asks for. */
export async function declareDraws(db: Database, stage: string, draws: readonly Draw[]): Promise<void> {
  const now = Date.now();
  await db.transaction().execute(async (transaction) => {
    await transaction.deleteFrom("draws").where("stage", "=", stage).execute();
    for (const { source, identity, sampling, n, splits } of draws) {
      const sampler = samplerKey(identity, sampling);
      await transaction
        .insertInto("samplers")
        .values({ key: sampler, identity, sampling_json: JSON.stringify(sampling), created_at: now })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      await transaction
        .insertInto("draws")
        .values({ stage, source, sampler, n, splits_json: JSON.stringify(splits) })
        .execute();
    }
  });
}

export interface StoredDraw extends Pick<Draw, "source" | "n" | "splits"> {
  readonly stage: string;
  readonly sampler: string;
}

export async function drawsOf(db: Database, stage?: string): Promise<StoredDraw[]> {
  let query = db.selectFrom("draws").selectAll().orderBy("stage").orderBy("source");
  if (stage !== undefined) query = query.where("stage", "=", stage);
  return (await query.execute()).map(({ splits_json, ...draw }) => ({
    ...draw,
    splits: JSON.parse(splits_json) as Split[],
  }));
}

export async function drawOf(db: Database, stage: string, source: string): Promise<StoredDraw> {
  const draw = (await drawsOf(db, stage)).find((candidate) => candidate.source === source);
  if (draw === undefined) throw new Error(`the stage ${stage} has declared no source ${source}`);
  return draw;
}

export const splitsOf = (draws: readonly StoredDraw[]): Split[] => [...new Set(draws.flatMap((draw) => draw.splits))];
