import type { Response, SampledResponse, SampleFailure, SampleOutcome, SampleRequest } from "../schema/index.ts";
import { chunks } from "./chunks.ts";
import { type Draw, declareDraws, drawnKey, drawOf, drawsOf, type StoredDraw, splitsOf } from "./draws.ts";
import { promptPages, type StoredPrompt } from "./prompts.ts";
import type { Database } from "./sqlite.ts";
import type { Split } from "./tables.ts";

export interface ResponseReader {
  /** The responses of a stage to one prompt after the other, in the prompts' order, then by source and index. */
  byPrompt(stage: string): AsyncIterable<{ readonly prompt: StoredPrompt; readonly responses: readonly Response[] }>;
  /** The same responses one by one. */
  byStage(stage: string): AsyncIterable<Response>;
  /** The texts of these responses. Throws for a key that the ledger does not hold. */
  texts(keys: readonly string[]): Promise<Map<string, string>>;
  /** What is still missing and why, for the person who has to do something about it. */
  failures(stage: string): Promise<Array<SampleFailure & { readonly source: string }>>;
}

export interface ResponseStore extends ResponseReader {
  /**
   * Says what the stage asks for from now on; what was drawn under other settings is kept but no longer counts.
   * `stage` is a label: "sources", "target", "evaluation/untuned".
   */
  declare(stage: string, draws: readonly Draw[]): Promise<void>;
  /** The responses that the ledger lacks, prompt by prompt; those that failed before are asked for again. */
  missing(stage: string, source: string): Promise<SampleRequest[]>;
  /**
   * Stores a batch in one durable commit and returns how many responses were new. The first text under a content key
   * stays; a stored response clears its failure, and a failure of a stored response is ignored.
   */
  add(stage: string, source: string, outcomes: readonly SampleOutcome[]): Promise<number>;
}

export function responseStore(db: Database): ResponseStore {
  const reader: ResponseReader = {
    async *byPrompt(stage) {
      const draws = await drawsOf(db, stage);
      for await (const page of promptPages(db, splitsOf(draws))) {
        const found = await responsesTo(db, page, draws);
        for (const { messagesKey, checksKey: _, ...prompt } of page) {
          yield { prompt, responses: found.get(messagesKey) ?? [] };
        }
      }
    },

    async *byStage(stage) {
      for await (const { responses } of reader.byPrompt(stage)) yield* responses;
    },

    async texts(keys) {
      const texts = new Map<string, string>();
      for (const some of chunks([...new Set(keys)])) {
        const rows = await db.selectFrom("responses").select(["key", "text_json"]).where("key", "in", some).execute();
        for (const row of rows) texts.set(row.key, JSON.parse(row.text_json) as string);
      }
      const lost = keys.find((key) => !texts.has(key));
      if (lost !== undefined) throw new Error(`the ledger holds no response ${lost}`);
      return texts;
    },

    async failures(stage) {
      const failures: Array<SampleFailure & { source: string }> = [];
      for (const draw of await drawsOf(db, stage)) {
        const rows = await db
          .selectFrom("failures")
          .innerJoin("prompts", "prompts.messages_key", "failures.messages_key")
          .select(["prompts.id", "failures.idx", "failures.failure_json"])
          .where("failures.sampler", "=", draw.sampler)
          .where("failures.idx", "<", draw.n)
          .where("prompts.split", "in", draw.splits)
          .orderBy("prompts.position")
          .orderBy("failures.idx")
          .execute();
        for (const { id, idx, failure_json } of rows) {
          failures.push({
            source: draw.source,
            promptId: id,
            index: idx,
            failure: JSON.parse(failure_json) as string,
          });
        }
      }
      return failures;
    },
  };

  return {
    ...reader,

    declare: (stage, draws) => declareDraws(db, stage, draws),

    async missing(stage, source) {
      const draw = await drawOf(db, stage, source);
      const requests: SampleRequest[] = [];
      for await (const page of promptPages(db, draw.splits)) {
        const rows = await db
          .selectFrom("responses")
          .select(["messages_key", "idx"])
          .where("sampler", "=", draw.sampler)
          .where(
            "messages_key",
            "in",
            page.map((prompt) => prompt.messagesKey),
          )
          .execute();
        const present = new Set(rows.map((row) => `${row.messages_key} ${row.idx}`));
        for (const { id, messages, messagesKey } of page) {
          const indices = Array.from({ length: draw.n }, (_, index) => index).filter(
            (index) => !present.has(`${messagesKey} ${index}`),
          );
          if (indices.length > 0) requests.push({ promptId: id, messages, indices });
        }
      }
      return requests;
    },

    async add(stage, source, outcomes) {
      if (outcomes.length === 0) return 0;
      const draw = await drawOf(db, stage, source);
      return await db.transaction().execute(async (transaction) => {
        const messagesKeys = await keysOfPrompts(transaction, outcomes);
        let stored = 0;
        for (const some of chunks(outcomes.filter(isResponse))) {
          stored += await insertResponses(transaction, draw.sampler, some, messagesKeys);
        }
        for (const failed of outcomes.filter(isFailure)) {
          await recordFailure(transaction, draw.sampler, messagesKeys.get(failed.promptId)!, failed);
        }
        return stored;
      });
    },
  };
}

/** The stage's responses to a page of prompts, by the key of the messages; sorted by source and index. */
export async function responsesTo(
  db: Database,
  page: readonly { readonly id: string; readonly split: Split; readonly messagesKey: string }[],
  draws: readonly StoredDraw[],
): Promise<Map<string, Response[]>> {
  const prompts = new Map(page.map((prompt) => [prompt.messagesKey, prompt]));
  const found = new Map<string, Response[]>();
  for (const draw of draws) {
    const rows = await db
      .selectFrom("responses")
      .selectAll()
      .where("sampler", "=", draw.sampler)
      .where("idx", "<", draw.n)
      .where("messages_key", "in", [...prompts.keys()])
      .orderBy("messages_key")
      .orderBy("idx")
      .execute();
    for (const row of rows) {
      const prompt = prompts.get(row.messages_key)!;
      if (!draw.splits.includes(prompt.split)) continue;
      const list = found.get(row.messages_key) ?? [];
      found.set(row.messages_key, list);
      list.push({
        key: row.key,
        promptId: prompt.id,
        source: draw.source,
        index: row.idx,
        text: JSON.parse(row.text_json) as string,
        finish: row.finish,
        promptTokens: row.prompt_tokens,
        responseTokens: row.response_tokens,
      });
    }
  }
  return found;
}

const isResponse = (outcome: SampleOutcome): outcome is SampledResponse => "text" in outcome;
const isFailure = (outcome: SampleOutcome): outcome is SampleFailure => "failure" in outcome;

async function keysOfPrompts(db: Database, outcomes: readonly SampleOutcome[]): Promise<Map<string, string>> {
  const keys = new Map<string, string>();
  for (const ids of chunks([...new Set(outcomes.map((outcome) => outcome.promptId))])) {
    const rows = await db.selectFrom("prompts").select(["id", "messages_key"]).where("id", "in", ids).execute();
    for (const row of rows) keys.set(row.id, row.messages_key);
  }
  const unknown = outcomes.find((outcome) => !keys.has(outcome.promptId));
  if (unknown !== undefined) throw new Error(`the run has no prompt ${unknown.promptId}`);
  return keys;
}

async function insertResponses(
  db: Database,
  sampler: string,
  responses: readonly SampledResponse[],
  messagesKeys: ReadonlyMap<string, string>,
): Promise<number> {
  const now = Date.now();
  const rows = responses.map((response) => {
    const messages_key = messagesKeys.get(response.promptId)!;
    return {
      key: drawnKey(messages_key, sampler, response.index),
      sampler,
      messages_key,
      idx: response.index,
      text_json: JSON.stringify(response.text),
      finish: response.finish,
      prompt_tokens: response.promptTokens,
      response_tokens: response.responseTokens,
      created_at: now,
    };
  });
  const { numInsertedOrUpdatedRows } = await db
    .insertInto("responses")
    .values(rows)
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirstOrThrow();
  const failed = await db.selectFrom("failures").select("idx").where("sampler", "=", sampler).limit(1).execute();
  for (const messagesKey of failed.length === 0 ? [] : new Set(rows.map((row) => row.messages_key))) {
    await db
      .deleteFrom("failures")
      .where("sampler", "=", sampler)
      .where("messages_key", "=", messagesKey)
      .where(
        "idx",
        "in",
        rows.filter((row) => row.messages_key === messagesKey).map((row) => row.idx),
      )
      .execute();
  }
  return Number(numInsertedOrUpdatedRows ?? 0n);
}

async function recordFailure(
  db: Database,
  sampler: string,
  messagesKey: string,
  { index, failure }: SampleFailure,
): Promise<void> {
  const stored = await db
    .selectFrom("responses")
    .select("key")
    .where("key", "=", drawnKey(messagesKey, sampler, index))
    .executeTakeFirst();
  if (stored !== undefined) return;
  const latest = { failure_json: JSON.stringify(failure), failed_at: Date.now() };
  await db
    .insertInto("failures")
    .values({ sampler, messages_key: messagesKey, idx: index, ...latest })
    .onConflict((conflict) => conflict.columns(["sampler", "messages_key", "idx"]).doUpdateSet(latest))
    .execute();
}
