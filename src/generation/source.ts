import type { LoadedModel } from "../models/index.ts";
import { disposeModel } from "../models/index.ts";
import {
  type AnyIterable,
  contentKey,
  DataError,
  RecipeError,
  type SampledResponse,
  type SampleFailure,
  type SampleRequest,
  type Sampling,
  type Source,
  type Thinking,
  type Turn,
} from "../schema/index.ts";
import { beginsThinking, endsThinking, knowsThinking, type Tokenizer, thinkingApart } from "../tokenizers/index.ts";
import { Engine, type EngineRequest } from "./engine.ts";
import { responsesOf } from "./generate.ts";
import { constraintsOf } from "./grammar/index.ts";
import { randomStream } from "./random-stream.ts";
import type { SamplerSettings } from "./sampler.ts";
import { textOf, textStopper } from "./text-writer.ts";

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

/** What decides the responses of an embedded model: the model, and where its template knows of thoughts, what becomes of them. */
export function embeddedIdentity(
  { identity, tokenizer }: Pick<LoadedModel, "identity" | "tokenizer">,
  thinking: Thinking,
): string {
  if (thinking === "apart" && !knowsThinking(tokenizer.chatTemplate)) return identity;
  return contentKey({ identity, thinking });
}

/**
 * An embedded model as a source. The text of a response is what its tokens decode to, special tokens left out, up to the
 * first stop string; what the model thought before it is kept apart, unless `thinking` keeps it. A response that ends
 * before its thoughts do is a failure, and so is a prompt that leaves no room in the model's context: it is never cut.
 */
export function embeddedSource(name: string, model: LoadedModel, thinking: Thinking = "apart"): Source {
  return {
    name,
    identity: embeddedIdentity(model, thinking),
    async *sample(requests: AnyIterable<SampleRequest>, sampling: Sampling, signal: AbortSignal) {
      // One for each call: the weights may have been trained since the last one, which makes its cache another model's.
      const engine = new Engine(model.decoder);
      try {
        yield* sampleBy(engine, { name, model, thinking }, requests, sampling, signal);
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
  { name, model, thinking }: { readonly name: string; readonly model: LoadedModel; readonly thinking: Thinking },
  requests: AnyIterable<SampleRequest>,
  sampling: Sampling,
  signal: AbortSignal,
): AsyncGenerator<SampledResponse | SampleFailure> {
  const { tokenizer } = model;
  const { room } = engine;
  const ends = { stops: sampling.stop, minTokens: sampling.min_tokens ?? 0 };
  const settings = {
    sampler: samplerOf(sampling),
    minTokens: ends.minTokens,
    ...constrained(sampling, model),
    endIds: new Set(tokenizer.stopIds),
    ...textStopper(tokenizer, ends),
  };
  const fitting: { request: SampleRequest; generation: EngineRequest; begun: boolean }[] = [];
  // All together: they share the engine's memory. Who has very many gives them in parts.
  for await (const request of requests) {
    const prompt = promptTokens(request.messages, tokenizer);
    const left = typeof prompt === "string" ? 0 : room - prompt.length;
    if (typeof prompt === "string" || left < 1) {
      const failure =
        typeof prompt === "string"
          ? prompt
          : `the prompt has ${prompt.length} tokens, ${room < model.decoder.config.maxPositions ? "the cache for keys and values" : `the context of ${model.label}`} ${room}`;
      for (const index of request.indices) yield { promptId: request.promptId, index, failure };
      continue;
    }
    const streams = request.indices.map((index) => randomStream(sampling.seed, request.promptId, name, index));
    const maxTokens = Math.min(sampling.max_tokens, left);
    const begun = knowsThinking(tokenizer.chatTemplate) && beginsThinking(tokenizer.decode(prompt.slice(-promptEnd)));
    fitting.push({ request, generation: { ...settings, prompt, streams, maxTokens }, begun });
  }
  const generations = fitting.map(({ generation }) => generation);
  for await (const made of responsesOf(engine, generations, signal)) {
    const { request, generation, begun } = fitting[made.request]!;
    const whole = textOf(tokenizer, ends, made.ids);
    const answer = thinking === "apart" ? thinkingApart(whole, begun) : { text: whole };
    const place = { promptId: request.promptId, index: request.indices[made.response]! };
    if ("fault" in answer) {
      const cure = made.finish === "length" ? `: max_tokens ran out after ${made.ids.length} tokens, raise it` : "";
      yield { ...place, failure: answer.fault + cure };
      continue;
    }
    const { text, reasoning } = answer;
    yield {
      ...place,
      text,
      finish: made.finish,
      promptTokens: generation.prompt.length,
      responseTokens: made.ids.length - (text === whole ? 0 : thoughtTokens(made.ids, tokenizer)),
      ...(reasoning === undefined ? {} : { extras: { reasoning } }),
    };
  }
}

/** Tokens that spell the mark which begins thoughts, and a line break after it, at most. */
const promptEnd = 8;

/** How many tokens there are up to the mark that ends thoughts. */
function thoughtTokens(ids: readonly number[], tokenizer: Tokenizer): number {
  let [without, within] = [0, ids.length];
  while (within - without > 1) {
    const middle = (without + within) >> 1;
    if (endsThinking(tokenizer.decode(ids.slice(0, middle), { skipSpecial: true }))) within = middle;
    else without = middle;
  }
  return within;
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
