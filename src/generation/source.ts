import type { LoadedModel } from "../models/index.ts";
import { disposeModel } from "../models/index.ts";
import {
  type AnyIterable,
  DataError,
  RecipeError,
  type SampledResponse,
  type SampleFailure,
  type SampleRequest,
  type Sampling,
  type Source,
  type Turn,
} from "../schema/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { Engine, type EngineRequest } from "./engine.ts";
import { responsesOf } from "./generate.ts";
import { constraintsOf } from "./grammar/index.ts";
import { randomStream } from "./random-stream.ts";
import type { SamplerSettings } from "./sampler.ts";

/** Ends a response where one of the strings appears, also across the borders of tokens. */
function stopStrings(model: LoadedModel, stops: readonly string[]): () => (id: number) => boolean {
  const longest = Math.max(...stops.map((stop) => stop.length));
  return () => {
    const decoder = model.tokenizer.createDecoder({ skipSpecial: true });
    let tail = "";
    return (id) => {
      const piece = decoder.push(id);
      tail += piece;
      const found = stops.some((stop) => tail.includes(stop));
      tail = tail.slice(-longest);
      return found;
    };
  };
}

/** The text before the first stop string. */
function cutAt(text: string, stops: readonly string[]): string {
  const ends = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
  return ends.length === 0 ? text : text.slice(0, Math.min(...ends));
}

/** The sampler that a recipe describes. */
const samplerOf = (sampling: Sampling): SamplerSettings => ({
  temperature: sampling.temperature,
  topP: sampling.top_p,
  topK: sampling.top_k,
  minP: sampling.min_p ?? 0,
  repetitionPenalty: sampling.repetition_penalty ?? 1,
  presencePenalty: sampling.presence_penalty ?? 0,
  frequencyPenalty: sampling.frequency_penalty ?? 0,
  logitBias: new Map(Object.entries(sampling.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias])),
});

function constrained(
  { regex, json_schema }: Sampling,
  { tokenizer, decoder }: LoadedModel,
): Pick<EngineRequest, "constraint"> {
  if (regex === undefined && json_schema === undefined) return {};
  if (regex !== undefined && json_schema !== undefined)
    throw new RecipeError("a response can't be held to a regex and to a JSON schema", {
      field: "sampling",
      hint: "Take one of them out.",
    });
  const form = regex === undefined ? { jsonSchema: json_schema } : { regex };
  return { constraint: constraintsOf(form, tokenizer, decoder.config.vocabularySize, tokenizer.stopIds) };
}

/**
 * An embedded model as a source. The text of a response is what its tokens decode to, special tokens left out, up to the
 * first stop string. A prompt that leaves no room in the model's context is a failure, never cut.
 */
export function embeddedSource(name: string, model: LoadedModel): Source {
  return {
    name,
    identity: model.identity,
    async *sample(requests: AnyIterable<SampleRequest>, sampling: Sampling, signal: AbortSignal) {
      // One for each call: the weights may have been trained since the last one, which makes its cache another model's.
      const engine = new Engine(model.decoder);
      try {
        yield* sampleBy(engine, name, model, requests, sampling, signal);
      } finally {
        await engine.close();
      }
    },
    async close() {
      disposeModel(model);
    },
  };
}

async function* sampleBy(
  engine: Engine,
  name: string,
  model: LoadedModel,
  requests: AnyIterable<SampleRequest>,
  sampling: Sampling,
  signal: AbortSignal,
): AsyncGenerator<SampledResponse | SampleFailure> {
  const { tokenizer } = model;
  const { room } = engine;
  const settings = {
    sampler: samplerOf(sampling),
    minTokens: sampling.min_tokens ?? 0,
    ...constrained(sampling, model),
    endIds: new Set(tokenizer.stopIds),
    ...(sampling.stop.length === 0 ? {} : { stopper: stopStrings(model, sampling.stop) }),
  };
  const fitting: { request: SampleRequest; generation: EngineRequest }[] = [];
  // All together: they share the engine's memory. Who has very many gives them in parts.
  for await (const request of requests) {
    const prompt = promptTokens(request.messages, tokenizer);
    const left = typeof prompt === "string" ? 0 : room - prompt.length;
    if (typeof prompt === "string" || left < 1) {
      const failure =
        typeof prompt === "string"
          ? prompt
          : `the prompt has ${prompt.length} tokens, the context of ${model.label} ${room}`;
      for (const index of request.indices) yield { promptId: request.promptId, index, failure };
      continue;
    }
    const streams = request.indices.map((index) => randomStream(sampling.seed, request.promptId, name, index));
    const maxTokens = Math.min(sampling.max_tokens, left);
    fitting.push({ request, generation: { ...settings, prompt, streams, maxTokens } });
  }
  const generations = fitting.map(({ generation }) => generation);
  for await (const made of responsesOf(engine, generations, signal)) {
    const { request, generation } = fitting[made.request]!;
    yield {
      promptId: request.promptId,
      index: request.indices[made.response]!,
      text: cutAt(tokenizer.decode(made.ids, { skipSpecial: true }), sampling.stop),
      finish: made.finish,
      promptTokens: generation.prompt.length,
      responseTokens: made.ids.length,
    };
  }
}

/** A prompt's tokens; why there are none, where the chat template refuses the messages. */
function promptTokens(messages: readonly Turn[], tokenizer: Tokenizer): number[] | string {
  try {
    return tokenizer.encodePrompt(messages);
  } catch (error) {
    if (error instanceof DataError) return error.message;
    throw error;
  }
}
