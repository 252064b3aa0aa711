import type { Message, SampleRequest } from "../schema/index.ts";
import type { StoredDraw } from "./draws.ts";
import type { Database } from "./tables.ts";

/** A prompt that lacks responses of a draw. */
export interface LackingPrompt {
  readonly id: string;
  readonly position: number;
  readonly messages_key: string;
  readonly prompt_no: number;
  readonly messages_json: string;
}

const pageSize = 256;

/** The next prompts after this position that lack responses of the draw; complete ones are passed over inside the database. */
export function lackingPrompts(db: Database, draw: StoredDraw, after: number): Promise<LackingPrompt[]> {
  return db
    .selectFrom("prompts")
    .select(["id", "position", "messages_key", "prompt_no", "messages_json"])
    .where("position", ">", after)
    .where("split", "in", draw.splits)
    .where(
      (prompt) =>
        prompt
          .selectFrom("responses")
          .select((column) => column.fn.countAll<number>().as("count"))
          .where("responses.sampler", "=", draw.sampler)
          .whereRef("responses.prompt_no", "=", "prompts.prompt_no")
          .where("responses.idx", "<", draw.n),
      "<",
      draw.n,
    )
    .orderBy("position")
    .limit(pageSize)
    .execute();
}

/** What of the draw each of these prompts lacks; not what has failed at or after a time by the ledger's clock. */
export async function requestsFor(
  db: Database,
  draw: StoredDraw,
  page: readonly LackingPrompt[],
  failedSince?: number,
): Promise<SampleRequest[]> {
  if (page.length === 0) return [];
  const keys = page.map((prompt) => prompt.messages_key);
  const rows = await db
    .selectFrom("responses")
    .select(["messages_key", "idx"])
    .where("sampler", "=", draw.sampler)
    .where(
      "prompt_no",
      "in",
      page.map((prompt) => prompt.prompt_no),
    )
    .execute();
  const failed =
    failedSince === undefined
      ? []
      : await db
          .selectFrom("failures")
          .select(["messages_key", "idx"])
          .where("sampler", "=", draw.sampler)
          .where("messages_key", "in", keys)
          .where("failed_at", ">=", failedSince)
          .execute();
  const present = new Set([...rows, ...failed].map((row) => `${row.messages_key} ${row.idx}`));
  const all = Array.from({ length: draw.n }, (_, index) => index);
  return page
    .map(({ id, messages_key, messages_json }) => ({
      promptId: id,
      messages: JSON.parse(messages_json) as Message[],
      indices: all.filter((index) => !present.has(`${messages_key} ${index}`)),
    }))
    .filter(({ indices }) => indices.length > 0);
}
