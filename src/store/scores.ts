import type { Response, Score, ScoreFailure, ScorePart, ScoreRequest } from "../schema/index.ts";
import { chunks } from "./chunks.ts";
import { countScores, type NewScore } from "./counts.ts";
import { drawsOf, type StoredDraw, splitsOf } from "./draws.ts";
import { now, transact } from "./engine.ts";
import type { Worker } from "./leases.ts";
import { isOneOf } from "./places.ts";
import {
  numbersOfPrompts,
  type PromptOnPage,
  promptPages,
  promptsCalled,
  promptsWith,
  type StoredPrompt,
} from "./prompts.ts";
import { responsesTo, withScoresTo } from "./read-responses.ts";
import { scoreShare } from "./shared-scores.ts";
import { responsesDone, scoresDone } from "./status.ts";
import type { Database, Split } from "./tables.ts";

/** A response with the value that one reward gave it. */
export interface ScoredResponse extends Response {
  readonly value: number;
  readonly parts: readonly ScorePart[];
}

/** All scored responses of a stage to one prompt; none when every sampling or scoring failed. */
export interface ScoredPrompt {
  readonly prompt: StoredPrompt;
  readonly responses: readonly ScoredResponse[];
}

/** A response with what a reward said of it, if it did already. */
export type JudgedResponse = Response & Partial<Pick<ScoredResponse, "value" | "parts">>;

export interface ScoreReader {
  /** The responses of a stage to these prompts, by the prompt's id, by source and index; with their scores by a reward where they have one. */
  ofPrompts(
    stage: string,
    reward: string | undefined,
    promptIds: readonly string[],
  ): Promise<ReadonlyMap<string, readonly JudgedResponse[]>>;
  /** Every prompt of the stage, or of one split of it, with its scored responses, in the prompts' order, then by source and index. */
  byPrompt(stage: string, reward: string, split?: Split): AsyncIterable<ScoredPrompt>;
  /**
   * Responses of the stage without a score of this reward (its identity), those that failed before included. Of a shared
   * ledger, those that this worker alone is to score, prompt by prompt, as with what is missing of responses. Their rivals are the
   * responses of the stage `rivals`, of the same one unless it is given.
   */
  unscored(
    stage: string,
    reward: string,
    options?: { readonly signal?: AbortSignal; readonly rivals?: string },
  ): AsyncIterable<ScoreRequest>;
  /** How many those are. */
  lacking(stage: string, reward: string): Promise<number>;
  /** The scores that are missing because the reward failed. */
  failures(stage: string, reward: string): Promise<ScoreFailure[]>;
}

/** What a reward said of a response to this prompt. */
export type ScoreOutcome = (Score | ScoreFailure) & { readonly promptId: string };

export interface ScoreStore extends ScoreReader {
  /**
   * Stores a batch in one durable commit and returns how many scores were new. A score holds for the checks that the
   * prompt has now: with other checks the response counts as unscored. The first value under a key stays.
   */
  add(reward: string, outcomes: readonly ScoreOutcome[]): Promise<number>;
}

export function scoreStore(db: Database, worker?: Worker): ScoreStore {
  const share = worker && scoreShare(db, worker);
  async function* pages(stage: string, reward: string, split?: Split) {
    const draws = await drawsOf(db, stage);
    const splits = splitsOf(draws).filter((each) => split === undefined || each === split);
    for await (const page of promptPages(db, splits)) yield await scoredPage(page, draws, reward);
  }

  async function scoredPage(page: readonly PromptOnPage[], draws: readonly StoredDraw[], reward: string) {
    const responses = await withScoresTo(db, page, draws, reward);
    return page.map(({ messagesKey, promptNo, checksKey: _, ...prompt }) => {
      const own = responses.get(promptNo);
      return {
        ...{ prompt, messagesKey, promptNo, responses: own?.responses ?? [] },
        scoreOf: (response: Response) => own?.scores.get(response.key),
      };
    });
  }

  async function requestsOf(page: readonly PromptOnPage[], stage: string, reward: string, rivals = stage) {
    const prompts = await scoredPage(page, await drawsOf(db, stage), reward);
    const others = rivals === stage ? undefined : await responsesTo(db, page, await drawsOf(db, rivals));
    return new Map(
      prompts.map((prompt) => [prompt.messagesKey, [...unscoredOf(prompt, others?.get(prompt.promptNo))]]),
    );
  }

  return {
    async ofPrompts(stage, reward, promptIds) {
      const draws = await drawsOf(db, stage);
      const found = new Map<string, readonly JudgedResponse[]>();
      if (draws.length === 0) return found;
      for (const ids of chunks(promptIds)) {
        for (const { prompt, responses, scoreOf } of await scoredPage(
          await promptsCalled(db, ids),
          draws,
          reward ?? "",
        ))
          found.set(
            prompt.id,
            responses.map((response) => ({ ...response, ...scoreOf(response) })),
          );
      }
      return found;
    },

    async *byPrompt(stage, reward, split) {
      for await (const page of pages(stage, reward, split)) {
        for (const { prompt, responses, scoreOf } of page) {
          const scored = responses.flatMap((response) => {
            const score = scoreOf(response);
            return score === undefined ? [] : [{ ...response, ...score }];
          });
          yield { prompt, responses: scored };
        }
      }
    },

    async *unscored(stage, reward, { signal, rivals } = {}) {
      const draws = await drawsOf(db, stage);
      if (share !== undefined) {
        if (draws.length === 0) return;
        const ofPrompts = async (keys: readonly string[]) =>
          keys.length === 0 ? new Map() : requestsOf(await promptsWith(db, keys), stage, reward, rivals);
        return yield* share.requests({ stage, reward, draws }, ofPrompts, signal);
      }
      for await (const page of promptPages(db, splitsOf(draws)))
        for (const requests of (await requestsOf(page, stage, reward, rivals)).values()) yield* requests;
    },

    async lacking(stage, reward) {
      const draws = await drawsOf(db, stage);
      return (await responsesDone(db, draws)) - ((await scoresDone(db, stage, draws)).get(reward) ?? 0);
    },

    async failures(stage, reward) {
      const failures: ScoreFailure[] = [];
      for await (const page of pages(stage, reward)) {
        const missing = page.flatMap(({ responses, scoreOf }) =>
          responses.filter((response) => scoreOf(response) === undefined).map((response) => response.key),
        );
        for (const keys of chunks([...new Set(missing)])) {
          const rows = await db
            .selectFrom("score_failures")
            .innerJoin("prompts", (join) =>
              join
                .onRef("prompts.prompt_no", "=", "score_failures.prompt_no")
                .onRef("prompts.checks_key", "=", "score_failures.checks_key"),
            )
            .select(["response_key", "failure_json"])
            .where("response_key", "in", keys)
            .where("reward", "=", reward)
            .orderBy("response_key")
            .execute();
          for (const row of rows) {
            failures.push({ responseKey: row.response_key, failure: JSON.parse(row.failure_json) as string });
          }
        }
      }
      return failures;
    },

    async add(reward, outcomes) {
      const keys = outcomes.map((outcome) => outcome.responseKey);
      const settled = share?.settled(reward, keys) ?? [];
      return await transact(db, async (transaction) => {
        const scored = await scoredResponses(transaction, outcomes);
        const added: NewScore[] = [];
        for (const some of chunks(outcomes.filter(isScore))) {
          added.push(...(await insertScores(transaction, reward, some, scored)));
        }
        for (const failed of outcomes.filter(isFailure)) {
          await recordFailure(transaction, reward, failed, scored.get(failed.responseKey)!);
        }
        await countScores(transaction, reward, added);
        for (const { task, item } of settled) await worker?.release(transaction, task, [item]);
        return added.length;
      });
    },
  };
}

function* unscoredOf(
  { prompt: stored, responses, scoreOf }: PromptWithScores,
  others: readonly Response[] = responses,
): Generator<ScoreRequest> {
  const { split: _, ...prompt } = stored;
  // Two names for one source share a response: it is scored once.
  const distinct = (some: readonly Response[]) => [...new Map(some.map((each) => [each.key, each])).values()];
  const rivals = distinct(others);
  for (const response of distinct(responses))
    if (scoreOf(response) === undefined) yield { responseKey: response.key, prompt, text: response.text, rivals };
}

interface PromptWithScores {
  readonly prompt: StoredPrompt;
  readonly responses: readonly Response[];
  scoreOf(response: Response): { readonly value: number } | undefined;
}

const isScore = (outcome: ScoreOutcome): outcome is ScoreOutcome & Score => "value" in outcome;
const isFailure = (outcome: ScoreOutcome): outcome is ScoreOutcome & ScoreFailure => "failure" in outcome;

interface Scored extends NewScore {
  /** The key of the checks under which the response is scored: those of its prompt. */
  readonly checksKey: string;
  readonly promptNo: number;
}

async function scoredResponses(db: Database, outcomes: readonly ScoreOutcome[]): Promise<Map<string, Scored>> {
  const found = new Map<string, Scored>();
  for (const some of chunks([...new Map(outcomes.map((one) => [one.responseKey, one])).values()])) {
    const prompts = await numbersOfPrompts(
      db,
      some.map(({ promptId }) => promptId),
    );
    const places = some.flatMap(({ promptId, responseKey: key }) => {
      const promptNo = prompts.get(promptId);
      return promptNo === undefined ? [] : [{ promptNo, key }];
    });
    if (places.length === 0) continue;
    const rows = await db
      .selectFrom("responses")
      .innerJoin("prompts", "prompts.prompt_no", "responses.prompt_no")
      .select(["responses.key", "responses.sampler", "responses.idx", "responses.prompt_no"])
      .select(["prompts.split", "prompts.checks_key"])
      .where(isOneOf(["responses.prompt_no", "responses.key"], places))
      .execute();
    for (const { key, checks_key: checksKey, prompt_no: promptNo, ...response } of rows)
      found.set(key, { ...response, checksKey, promptNo });
  }
  const unknown = outcomes.find(({ responseKey }) => !found.has(responseKey));
  if (unknown !== undefined) throw new Error(`the run has no response ${unknown.responseKey} to score`);
  return found;
}

async function insertScores(
  db: Database,
  reward: string,
  scores: readonly Score[],
  scored: ReadonlyMap<string, Scored>,
): Promise<NewScore[]> {
  const inserted = await db
    .insertInto("scores")
    .values(
      scores.map((score) => ({
        response_key: score.responseKey,
        reward,
        checks_key: scored.get(score.responseKey)!.checksKey,
        value: score.value,
        parts_json: JSON.stringify(score.parts),
        created_at: now(db),
        prompt_no: scored.get(score.responseKey)!.promptNo,
      })),
    )
    .onConflict((conflict) => conflict.doNothing())
    .returning("response_key")
    .execute();
  await db
    .deleteFrom("score_failures")
    .where("reward", "=", reward)
    .where(
      "response_key",
      "in",
      scores.map((score) => score.responseKey),
    )
    .execute();
  return inserted.map(({ response_key }) => scored.get(response_key)!);
}

async function recordFailure(
  db: Database,
  reward: string,
  { responseKey, failure }: ScoreFailure,
  { checksKey, promptNo }: Scored,
): Promise<void> {
  const scored = await db
    .selectFrom("scores")
    .select("response_key")
    .where("prompt_no", "=", promptNo)
    .where("response_key", "=", responseKey)
    .where("reward", "=", reward)
    .where("checks_key", "=", checksKey)
    .executeTakeFirst();
  // Another worker may have been luckier.
  if (scored !== undefined) return;
  const latest = { failure_json: JSON.stringify(failure), failed_at: now(db) };
  await db
    .insertInto("score_failures")
    .values({ response_key: responseKey, reward, checks_key: checksKey, prompt_no: promptNo, ...latest })
    .onConflict((conflict) => conflict.columns(["response_key", "reward", "checks_key"]).doUpdateSet(latest))
    .execute();
}
