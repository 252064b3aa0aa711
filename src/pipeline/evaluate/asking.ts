import { z } from "zod";
import { contentKey, type Message, type Sampling } from "../../schema/index.ts";
import type { LazySource } from "../lazy-source.ts";
import type { Evaluation } from "./evaluation.ts";
import { tellExpectedCost } from "./expected-cost.ts";
import { type Failed, type Outcome, remembered } from "./remembered.ts";

/** What a model is asked. No two questions of a call have the same id and index. */
export interface Asked {
  /** Names the stream of random numbers: the question's own. */
  readonly id: string;
  readonly messages: readonly Message[];
  readonly sampling: Sampling;
  /** Another answer to the same question has another index; 0 without. */
  readonly index?: number;
}

const answerSchema = z.object({
  text: z.string(),
  finish: z.enum(["stop", "length"]),
  promptTokens: z.number(),
  responseTokens: z.number(),
});
export type Answer = z.infer<typeof answerSchema>;

/**
 * The answer to each question: those that the ledger has, the others asked for and stored as they come. One that can't be had is a
 * failure. The model is opened only where an answer is missing.
 *
 * @throws Interrupted on an abort; SourceError, ModelError where the model can't answer at all.
 */
export async function ask(
  evaluation: Evaluation,
  label: string,
  source: LazySource,
  asked: readonly Asked[],
): Promise<(Answer | Failed)[]> {
  const { identity } = source;
  const keys = asked.map((one) => keyOf(source, one));
  return await remembered(evaluation, {
    owner: identity,
    label,
    unit: "answers",
    keys,
    schema: answerSchema,
    work(missing, signal) {
      const calls = missing.map((index) => asked[index]!);
      tellExpectedCost(
        evaluation,
        label,
        source,
        calls.map(({ messages, sampling }) => ({ messages, maxTokens: sampling.max_tokens })),
      );
      return answers(source, asked, missing, signal);
    },
  });
}

const keyOf = ({ identity }: LazySource, { messages, sampling, index = 0 }: Asked): string =>
  contentKey({ kind: "answer", identity, messages, sampling, index });

/** Which of the questions the ledger has an answer to. */
export async function answered(
  { ledger }: Pick<Evaluation, "ledger">,
  source: LazySource,
  asked: readonly Asked[],
): Promise<boolean[]> {
  const keys = asked.map((one) => keyOf(source, one));
  const known = await ledger.judgements.get([...new Set(keys)]);
  return keys.map((key) => known.has(key));
}

async function* answers(
  source: LazySource,
  asked: readonly Asked[],
  missing: readonly number[],
  signal: AbortSignal,
): AsyncGenerator<Outcome<Answer>> {
  const groups = new Map<string, number[]>();
  for (const index of missing) {
    const key = contentKey(asked[index]!.sampling);
    groups.set(key, [...(groups.get(key) ?? []), index]);
  }
  const opened = await source.open();
  try {
    for (const group of groups.values()) {
      const placeOf = new Map(group.map((place) => [nameOf(asked[place]!), place]));
      const requests = group.map((place) => {
        const { id, messages, index = 0 } = asked[place]!;
        return { promptId: id, messages, indices: [index] };
      });
      const { sampling } = asked[group[0]!]!;
      for await (const outcome of opened.sample(requests, sampling, signal)) {
        const index = placeOf.get(nameOf({ id: outcome.promptId, index: outcome.index }))!;
        if ("failure" in outcome) yield { index, failure: outcome.failure };
        else {
          const { text, finish, promptTokens, responseTokens } = outcome;
          yield { index, value: { text, finish, promptTokens, responseTokens } };
        }
      }
    }
  } finally {
    await opened.close();
  }
}

const nameOf = ({ id, index = 0 }: Pick<Asked, "id" | "index">): string => JSON.stringify([id, index]);
