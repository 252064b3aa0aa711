import type { Response, SampledResponse, SampleFailure, SampleOutcome, SampleRequest } from "../schema/index.ts";
import { chunks } from "./chunks.ts";
import { countResponses, type NewResponse, recount } from "./counts.ts";
import { declareDraws } from "./declare.ts";
import { type Draw, drawnKey, drawOf, drawsOf, splitsOf } from "./draws.ts";
import { now, transact } from "./engine.ts";
import type { Worker } from "./leases.ts";
import { lackingPrompts, requestsFor } from "./missing.ts";
import { isOneOf } from "./places.ts";
import { numbersOfPrompts, promptPages, promptStore, type StoredPrompt } from "./prompts.ts";
import { responsesTo } from "./read-responses.ts";
import { workerShare } from "./shared-requests.ts";
import { countsOf } from "./status.ts";
import type { Database, Split } from "./tables.ts";

export interface ResponseReader {
  /** The responses of a stage to one prompt after the other, in the prompts' order, then by source and index. */
  byPrompt(stage: string): AsyncIterable<{ readonly prompt: StoredPrompt; readonly responses: readonly Response[] }>;
  /** The same responses one by one. */
  byStage(stage: string): AsyncIterable<Response>;
  /** The texts of these responses, by their keys. Throws for one that the ledger does not hold, or not for this prompt. */
  texts(responses: readonly Pick<Response, "promptId" | "key">[]): Promise<Map<string, string>>;
  /** What is still missing and why, for the person who has to do something about it. */
  failures(stage: string): Promise<Array<SampleFailure & { readonly source: string }>>;
}

export interface ResponseStore extends ResponseReader {
  /**
   * Says what the stage asks for from now on; what was drawn under other settings is kept but no longer counts.
   * `stage` is a label: "sources", "target", "evaluation/untuned".
   */
  declare(stage: string, draws: readonly Draw[]): Promise<void>;
  /**
   * The responses that the ledger lacks, prompt by prompt, read as they are asked for; those that failed before are
   * asked for again. Of a shared ledger, those that this worker alone is to ask for: each is its own until `add` has
   * stored an outcome of it, and the iteration waits for what others are at, until they have done it or are gone.
   */
  missing(stage: string, source: string, signal?: AbortSignal): AsyncIterable<SampleRequest>;
  /** How many those are. */
  lacking(stage: string, source: string): Promise<number>;
  /**
   * Stores a batch in one durable commit and returns how many responses were new. The first text under a content key
   * stays; a stored response clears its failure, and a failure of a stored response is ignored.
   */
  add(stage: string, source: string, outcomes: readonly SampleOutcome[]): Promise<number>;
}

export function responseStore(db: Database, worker?: Worker): ResponseStore {
  const share = worker && workerShare(db, worker);
  const reader: ResponseReader = {
    async *byPrompt(stage) {
      const draws = await drawsOf(db, stage);
      for await (const page of promptPages(db, splitsOf(draws))) {
        const found = await responsesTo(db, page, draws);
        for (const { messagesKey: _, checksKey: __, promptNo, ...prompt } of page) {
          yield { prompt, responses: found.get(promptNo) ?? [] };
        }
      }
    },

    async *byStage(stage) {
      for await (const { responses } of reader.byPrompt(stage)) yield* responses;
    },

    async texts(responses) {
      const texts = new Map<string, string>();
      for (const some of chunks([...new Map(responses.map((one) => [one.key, one])).values()])) {
        const prompts = await numbersOfPrompts(
          db,
          some.map(({ promptId }) => promptId),
        );
        const places = some.flatMap(({ promptId, key }) => {
          const promptNo = prompts.get(promptId);
          return promptNo === undefined ? [] : [{ promptNo, key }];
        });
        if (places.length === 0) continue;
        const rows = await db
          .selectFrom("responses")
          .select(["key", "text_json"])
          .where(isOneOf(["prompt_no", "key"], places))
          .execute();
        for (const row of rows) texts.set(row.key, JSON.parse(row.text_json) as string);
      }
      const lost = responses.find(({ key }) => !texts.has(key));
      if (lost !== undefined) throw new Error(`the ledger holds no response ${lost.key}`);
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

    async declare(stage, draws) {
      await declareDraws(db, stage, draws, worker);
      await recount(db, stage);
    },

    async lacking(stage, source) {
      const draw = await drawOf(db, stage, source);
      const prompts = await promptStore(db, worker).counts();
      const { done } = await countsOf(db, draw);
      return draw.splits.reduce((sum, split) => sum + prompts[split], 0) * draw.n - done;
    },

    async *missing(stage, source, signal) {
      const draw = await drawOf(db, stage, source);
      if (share !== undefined) return yield* share.requests(draw, signal);
      let after = -1;
      for (;;) {
        const page = await lackingPrompts(db, draw, after);
        if (page.length === 0) return;
        yield* await requestsFor(db, draw, page);
        after = page.at(-1)!.position;
      }
    },

    async add(stage, source, outcomes) {
      if (outcomes.length === 0) return 0;
      const draw = await drawOf(db, stage, source);
      const prompts = await keysOfPrompts(db, outcomes);
      const keyOf = (promptId: string) => prompts.get(promptId)!.messagesKey;
      const admitted = share === undefined ? outcomes : await share.admitted(draw.sampler, outcomes, keyOf);
      const settled = share?.settled(draw.sampler, outcomes, keyOf) ?? [];
      const store = async (transaction: Database) => {
        const added: NewResponse[] = [];
        for (const some of chunks(admitted.filter(isResponse))) {
          added.push(...(await insertResponses(transaction, draw.sampler, some, prompts)));
        }
        for (const failed of admitted.filter(isFailure)) {
          await recordFailure(transaction, draw.sampler, prompts.get(failed.promptId)!, failed);
        }
        await worker?.release(transaction, draw.sampler, settled);
        await countResponses(transaction, draw.sampler, added);
        return added.length;
      };
      return await transact(db, store);
    },
  };
}

const isResponse = (outcome: SampleOutcome): outcome is SampledResponse => "text" in outcome;
const isFailure = (outcome: SampleOutcome): outcome is SampleFailure => "failure" in outcome;

interface PromptKeys {
  readonly messagesKey: string;
  readonly promptNo: number;
  readonly split: Split;
}

async function keysOfPrompts(db: Database, outcomes: readonly SampleOutcome[]): Promise<Map<string, PromptKeys>> {
  const keys = new Map<string, PromptKeys>();
  for (const ids of chunks([...new Set(outcomes.map((outcome) => outcome.promptId))])) {
    const rows = await db
      .selectFrom("prompts")
      .select(["id", "messages_key", "prompt_no", "split"])
      .where("id", "in", ids)
      .execute();
    for (const { id, messages_key: messagesKey, prompt_no: promptNo, split } of rows)
      keys.set(id, { messagesKey, promptNo, split });
  }
  const unknown = outcomes.find((outcome) => !keys.has(outcome.promptId));
  if (unknown !== undefined) throw new Error(`the run has no prompt ${unknown.promptId}`);
  return keys;
}

async function insertResponses(
  db: Database,
  sampler: string,
  responses: readonly SampledResponse[],
  prompts: ReadonlyMap<string, PromptKeys>,
): Promise<NewResponse[]> {
  const rows = responses
    .map((response) => {
      const prompt = prompts.get(response.promptId)!;
      return { ...prompt, key: drawnKey(prompt.messagesKey, sampler, response.index), response };
    })
    // Two workers that store the same ones take them in one order, so that neither waits for the other.
    .sort((a, b) => a.promptNo - b.promptNo || a.response.index - b.response.index);
  const inserted = await db
    .insertInto("responses")
    .values(
      rows.map(({ key, messagesKey, promptNo, response }) => ({
        key,
        sampler,
        messages_key: messagesKey,
        idx: response.index,
        text_json: JSON.stringify(response.text),
        finish: response.finish,
        prompt_tokens: response.promptTokens,
        response_tokens: response.responseTokens,
        created_at: now(db),
        extras_json: response.extras === undefined ? null : JSON.stringify(response.extras),
        prompt_no: promptNo,
      })),
    )
    .onConflict((conflict) => conflict.doNothing())
    .returning(["key", "finish", "idx"])
    .execute();
  await forgetFailures(
    db,
    sampler,
    rows.map(({ messagesKey, response }) => ({ messagesKey, idx: response.index })),
  );
  const splits = new Map(rows.map(({ key, split }) => [key, split]));
  return inserted.map(({ key, finish, idx }) => ({ split: splits.get(key)!, finish, idx }));
}

async function forgetFailures(
  db: Database,
  sampler: string,
  responses: readonly { readonly messagesKey: string; readonly idx: number }[],
): Promise<void> {
  const some = await db.selectFrom("failures").select("idx").where("sampler", "=", sampler).limit(1).execute();
  if (some.length === 0) return;
  for (const messagesKey of new Set(responses.map((response) => response.messagesKey))) {
    const indices = responses.filter((response) => response.messagesKey === messagesKey).map(({ idx }) => idx);
    await db
      .deleteFrom("failures")
      .where("sampler", "=", sampler)
      .where("messages_key", "=", messagesKey)
      .where("idx", "in", indices)
      .execute();
  }
}

async function recordFailure(
  db: Database,
  sampler: string,
  { messagesKey, promptNo }: PromptKeys,
  { index, failure }: SampleFailure,
): Promise<void> {
  const stored = await db
    .selectFrom("responses")
    .select("key")
    .where("sampler", "=", sampler)
    .where("prompt_no", "=", promptNo)
    .where("idx", "=", index)
    .executeTakeFirst();
  if (stored !== undefined) return;
  const latest = { failure_json: JSON.stringify(failure), failed_at: now(db) };
  await db
    .insertInto("failures")
    .values({ sampler, messages_key: messagesKey, idx: index, ...latest })
    .onConflict((conflict) => conflict.columns(["sampler", "messages_key", "idx"]).doUpdateSet(latest))
    .execute();
}
