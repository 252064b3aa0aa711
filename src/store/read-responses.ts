import { type Response, responseExtrasSchema, type Score, type ScorePart } from "../schema/index.ts";
import type { StoredDraw } from "./draws.ts";
import type { PromptOnPage } from "./prompts.ts";
import type { Database, Split, Tables } from "./tables.ts";

/** The stage's responses to a page of prompts, by the number of the messages; sorted by source and index. */
export async function responsesTo(
  db: Database,
  page: readonly { readonly id: string; readonly split: Split; readonly promptNo: number }[],
  draws: readonly StoredDraw[],
): Promise<Map<number, Response[]>> {
  const prompts = new Map(page.map((prompt) => [prompt.promptNo, prompt]));
  const found = new Map<number, Response[]>();
  for (const draw of draws) {
    const rows = await db
      .selectFrom("responses")
      .selectAll()
      .where("sampler", "=", draw.sampler)
      .where("idx", "<", draw.n)
      .where("prompt_no", "in", [...prompts.keys()])
      .orderBy("prompt_no")
      .orderBy("idx")
      .execute();
    for (const row of rows) {
      const prompt = prompts.get(row.prompt_no)!;
      if (!draw.splits.includes(prompt.split)) continue;
      const list = found.get(row.prompt_no) ?? [];
      found.set(row.prompt_no, list);
      list.push(toResponse(row, prompt.id, draw.source));
    }
  }
  return found;
}

type ResponseRow = Omit<Tables["responses"], "sampler" | "messages_key" | "created_at">;

/** The response to this prompt that a row holds. */
const toResponse = (row: ResponseRow, promptId: string, source: string): Response => ({
  key: row.key,
  promptId,
  source,
  index: row.idx,
  text: JSON.parse(row.text_json) as string,
  finish: row.finish,
  promptTokens: row.prompt_tokens,
  responseTokens: row.response_tokens,
  ...(row.extras_json === null ? {} : { extras: responseExtrasSchema.parse(JSON.parse(row.extras_json)) }),
});

/** Responses to one prompt, sorted by source and index, and the scores that they have under the prompt's checks, by their keys. */
interface WithScores {
  readonly responses: Response[];
  readonly scores: Map<string, Pick<Score, "value" | "parts">>;
}

/** The stage's responses to a page of prompts with their scores, in one query a draw, by the prompts' numbers. */
export async function withScoresTo(
  db: Database,
  page: readonly PromptOnPage[],
  draws: readonly StoredDraw[],
  reward: string,
): Promise<Map<number, WithScores>> {
  const prompts = new Map(page.map((prompt) => [prompt.promptNo, prompt]));
  const found = new Map<number, WithScores>();
  for (const draw of draws) {
    const rows = await db
      .selectFrom("responses")
      .leftJoin("scores", (join) =>
        join
          .onRef("scores.prompt_no", "=", "responses.prompt_no")
          .onRef("scores.response_key", "=", "responses.key")
          .on("scores.reward", "=", reward),
      )
      .select(["responses.prompt_no", "key", "idx", "text_json", "finish", "prompt_tokens", "response_tokens"])
      .select(["extras_json", "checks_key", "value", "parts_json"])
      .where("sampler", "=", draw.sampler)
      .where("idx", "<", draw.n)
      .where("responses.prompt_no", "in", [...prompts.keys()])
      .orderBy("responses.prompt_no")
      .orderBy("idx")
      .execute();
    for (const row of rows) {
      const prompt = prompts.get(row.prompt_no)!;
      if (!draw.splits.includes(prompt.split)) continue;
      const own: WithScores = found.get(row.prompt_no) ?? { responses: [], scores: new Map() };
      found.set(row.prompt_no, own);
      // A response has a row for each set of checks that it was ever scored under.
      const last = own.responses.at(-1);
      if (last?.key !== row.key || last.source !== draw.source)
        own.responses.push(toResponse(row, prompt.id, draw.source));
      if (row.checks_key === prompt.checksKey)
        own.scores.set(row.key, { value: row.value!, parts: JSON.parse(row.parts_json!) as ScorePart[] });
    }
  }
  return found;
}
