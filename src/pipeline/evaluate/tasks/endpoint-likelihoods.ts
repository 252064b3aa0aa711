import { type EndpointRecipe, SourceError } from "../../../schema/index.ts";
import { contextParts } from "../../../scoring/index.ts";
import {
  CallError,
  type Calls,
  endpointIdentity,
  gathered,
  openPlainCompletions,
  type PlainCompletion,
  type PlainRequest,
  RejectedFieldError,
} from "../../../sources/index.ts";
import type { Evaluation } from "../evaluation.ts";
import { type Failed, type Outcome, remembered } from "../remembered.ts";
import { type Likelihoods, likelihoodsKey, likelihoodsSchema, type Requests } from "./log-likelihoods.ts";

const hint =
  "Log-likelihoods of a server come from `POST /completions` with `echo` and `logprobs`, which `amalgam serve` and vLLM have. Serve the model by one of them, or give the model itself (`model:` in place of `endpoint:`).";

/**
 * Log-likelihoods of each document by a server, which tells the log-probs of a prompt's tokens: as lm-eval's `local-completions` asks for
 * them.
 *
 * @throws SourceError where the server can't tell them, naming what can
 */
export async function endpointLikelihoods(
  evaluation: Evaluation,
  label: string,
  recipe: EndpointRecipe,
  documents: readonly Requests[],
): Promise<(Likelihoods | Failed)[]> {
  if (recipe.format === "anthropic" || recipe.format === "gemini")
    throw new SourceError(`calls of the format ${recipe.format} tell no log-probs of a prompt`, { hint });
  const identity = endpointIdentity(recipe);
  return await remembered(evaluation, {
    owner: identity,
    label,
    unit: "documents",
    keys: documents.map((requests) => likelihoodsKey(identity, requests)),
    schema: likelihoodsSchema,
    work: (missing, signal) => asked(evaluation, recipe, documents, missing, signal),
  });
}

async function* asked(
  { listener, account }: Evaluation,
  recipe: EndpointRecipe,
  documents: readonly Requests[],
  missing: readonly number[],
  signal: AbortSignal,
): AsyncGenerator<Outcome<Likelihoods>> {
  const calls = openPlainCompletions(recipe, {
    notice: (text) => listener.notice(text),
    ...(account === undefined ? {} : { budget: account.budget }),
  });
  try {
    yield* gathered<number, Outcome<Likelihoods>>(
      missing,
      recipe.concurrency,
      async (index, emit, stop) => {
        const values: number[] = [];
        try {
          for (const { context, continuation } of documents[index]!)
            values.push(await likelihood(calls, context, continuation, stop));
        } catch (error) {
          if (error instanceof RejectedFieldError) throw error.amend({ hint });
          if (!(error instanceof CallError)) throw error;
          emit({ index, failure: error.message });
          return;
        }
        emit({ index, value: { logLikelihoods: values, cut: 0 } });
      },
      signal,
    );
  } finally {
    await calls.close();
  }
}

async function likelihood(
  calls: Calls<PlainRequest, PlainCompletion>,
  context: string,
  continuation: string,
  signal: AbortSignal,
): Promise<number> {
  const prompt = context + continuation;
  const { text, tokens } = await calls.call({ prompt, maxTokens: 1, echo: true }, signal);
  const cant = (why: string) => new SourceError(`${calls.url}: ${why}`, { hint });
  if (!text.startsWith(prompt)) throw cant("the server does not give the prompt back (`echo`)");
  if (tokens === undefined) throw cant("the server tells no log-probs of the prompt's tokens");
  // Some servers count characters, some UTF-16 units: the token after the prompt stands at its end.
  const last = tokens.at(-1)?.offset ?? 0;
  const lengthOf = (some: string) => (last === prompt.length ? some.length : [...some].length);
  const [head] = contextParts(context);
  const [from, to] = [lengthOf(head), lengthOf(prompt)];
  const scored = tokens.filter(
    ({ offset, logProb }, at) => offset >= from && offset < to && (at > 0 || logProb !== null),
  );
  if (scored.length === 0 || scored.some(({ logProb }) => logProb === null))
    throw cant("the server tells no log-probs of the prompt's tokens");
  return scored.reduce((sum, { logProb }) => sum + logProb!, 0);
}
