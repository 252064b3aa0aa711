import { expect } from "vitest";
import {
  type EndpointRecipe,
  endpointSchema,
  type SampledResponse,
  type SampleFailure,
  type SampleOutcome,
  type SampleRequest,
  type Sampling,
  type Source,
  SourceError,
} from "../../schema/index.ts";
import type { EndpointOptions } from "../calls.ts";

import { openEndpoint } from "../endpoint.ts";

export const key = "sk-test-Zq7/4fWbR+mN2xYv";
export const sampling: Sampling = { temperature: 0.8, top_p: 0.95, top_k: 0, max_tokens: 64, stop: [], seed: 42 };
export const never = new AbortController().signal;

/** A source on the server at `url`, to be closed. */
export const openPeer = (url: string, recipe: Partial<EndpointRecipe> = {}, options: EndpointOptions = {}): Source =>
  openEndpoint(
    "peer",
    endpointSchema.parse({ url, model: "m", key_env: "PEER_KEY", retries: 2, timeout_seconds: 20, ...recipe }),
    { environment: { PEER_KEY: key }, retryDelayMs: 1, ...options },
  );
export const prompts = (count: number, n: number): SampleRequest[] =>
  Array.from({ length: count }, (_, i) => ({
    promptId: `p${i}`,
    messages: [{ role: "user" as const, content: `question ${i}` }],
    indices: Array.from({ length: n }, (_, index) => index),
  }));
export const collect = async (outcomes: AsyncIterable<SampleOutcome>): Promise<SampleOutcome[]> => {
  const all: SampleOutcome[] = [];
  for await (const outcome of outcomes) all.push(outcome);
  return all.sort((a, b) => a.promptId.localeCompare(b.promptId) || a.index - b.index);
};
export const sampleOne = async (source: Source, n = 1): Promise<SampleOutcome[]> =>
  collect(source.sample(prompts(1, n), sampling, never));
export const failureOf = async (source: Source): Promise<string> => {
  const [outcome, ...others] = await sampleOne(source);
  expect(others).toEqual([]);
  return (outcome as SampleFailure).failure;
};
export const thrown = async (source: Source, count = 1): Promise<SourceError> => {
  const error: unknown = await collect(source.sample(prompts(count, 1), sampling, never)).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(SourceError);
  return error as SourceError;
};
export const texts = (outcomes: readonly SampleOutcome[]) =>
  outcomes.map((outcome) => (outcome as SampledResponse).text);
