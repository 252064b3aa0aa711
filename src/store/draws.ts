import { contentKey, type Message, type Sampling } from "../schema/index.ts";
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

/** Content key of a source's identity and sampling. */
export const samplerKey = (identity: string, sampling: Sampling) => contentKey({ identity, sampling });

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
