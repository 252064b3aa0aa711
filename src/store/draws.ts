import { contentKey, type Message, type Sampling } from "../schema/index.ts";
import { now } from "./engine.ts";
import type { Worker } from "./leases.ts";
import type { Database, Split } from "./tables.ts";

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

/** Replaces what a stage asks for. What stays as it was keeps its counts. */
export async function declareDraws(
  db: Database,
  stage: string,
  draws: readonly Draw[],
  worker?: Worker,
): Promise<void> {
  const stored = await drawsOf(db, stage);
  if (
    stored.length > 0 &&
    !draws.every((draw) => stored.some((known) => known.source === draw.source && isSame(known, draw)))
  )
    await worker?.refuseBesideOthers(`the recipe asks for other responses under "${stage}" than the ledger holds`);
  await db.transaction().execute(async (transaction) => {
    const before = new Map((await drawsOf(transaction, stage)).map((draw) => [draw.source, draw]));
    for (const { source, identity, sampling, n, splits } of draws) {
      const sampler = samplerKey(identity, sampling);
      await transaction
        .insertInto("samplers")
        .values({ key: sampler, identity, sampling_json: JSON.stringify(sampling), created_at: now(transaction) })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      const known = before.get(source);
      before.delete(source);
      const row = { sampler, n, splits_json: JSON.stringify(splits) };
      if (known !== undefined && isSame(known, { identity, sampling, n, splits })) continue;
      const changed = { ...row, done: null, unfinished: null };
      await transaction
        .insertInto("draws")
        .values({ stage, source, ...changed })
        .onConflict((conflict) => conflict.columns(["stage", "source"]).doUpdateSet(changed))
        .execute();
    }
    if (before.size === 0) return;
    const gone = [...before.keys()];
    await transaction.deleteFrom("draws").where("stage", "=", stage).where("source", "in", gone).execute();
    // Scores of what is gone count no longer.
    await transaction.updateTable("draws").set({ done: null, unfinished: null }).where("stage", "=", stage).execute();
  });
}

const isSame = (known: StoredDraw, { identity, sampling, n, splits }: Omit<Draw, "source">): boolean =>
  known.sampler === samplerKey(identity, sampling) &&
  known.n === n &&
  JSON.stringify(known.splits) === JSON.stringify(splits);

export interface StoredDraw extends Pick<Draw, "source" | "n" | "splits"> {
  readonly stage: string;
  readonly sampler: string;
  /** Responses that the ledger has, and those of them that the token limit cut off; null until they are counted. */
  readonly done: number | null;
  readonly unfinished: number | null;
}

export async function drawsOf(db: Database, stage?: string): Promise<StoredDraw[]> {
  let query = db.selectFrom("draws").selectAll();
  if (stage !== undefined) query = query.where("stage", "=", stage);
  return (await query.execute())
    .map(({ splits_json, ...draw }) => ({ ...draw, splits: JSON.parse(splits_json) as Split[] }))
    .sort((a, b) => compare(a.stage, b.stage) || compare(a.source, b.source));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export async function drawOf(db: Database, stage: string, source: string): Promise<StoredDraw> {
  const draw = (await drawsOf(db, stage)).find((candidate) => candidate.source === source);
  if (draw === undefined) throw new Error(`the stage ${stage} has declared no source ${source}`);
  return draw;
}

export const splitsOf = (draws: readonly StoredDraw[]): Split[] => [...new Set(draws.flatMap((draw) => draw.splits))];
