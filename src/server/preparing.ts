import { randomInt } from "node:crypto";
import type { z } from "zod";
import { badRequest, schemaError } from "./api-error.ts";
import { readJson } from "./body.ts";
import type { Call, Service } from "./call.ts";
import type { Draw } from "./drawing.ts";
import type { ChatRequest, CompletionRequest } from "./request-fields.ts";
import type { ServedModel } from "./served-models.ts";

/** The body of a call, by its schema. @throws ApiError 400 naming the field at fault */
export async function readBody<Schema extends z.ZodType>(
  schema: Schema,
  call: Call,
  { limits }: Service,
): Promise<z.output<Schema>> {
  const body = await readJson(call, Math.floor(limits.body_mib * 2 ** 20));
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw schemaError(parsed.error.issues, body);
  return parsed.data;
}

type SamplingFields = Pick<
  CompletionRequest | ChatRequest,
  Exclude<keyof CompletionRequest & keyof ChatRequest, "logprobs" | "max_tokens">
>;

interface Wanted {
  readonly prompts: readonly (readonly number[])[];
  /** Where the prompts stand in the request. */
  readonly promptField: string;
  readonly responses: number;
  /** Tokens that were asked for, and the field that did. */
  readonly maxTokens: number | undefined;
  readonly maxTokensField: string;
  /** Where none were asked for; undefined: as many as there is room for. */
  readonly defaultTokens?: number;
}

/**
 * What is to be drawn for a request.
 *
 * @throws ApiError 400 for what the model has no room for, what the server's limits don't allow, and unknown tokens
 */
export function drawFor(model: ServedModel, { limits }: Service, fields: SamplingFields, wanted: Wanted): Draw {
  const { vocabularySize, tokenizer } = model;
  const { prompts, responses } = wanted;
  if (prompts.length * responses > limits.choices)
    throw badRequest(
      `${prompts.length * responses} responses are asked for at once, and this server gives at most ${limits.choices}`,
      responses > 1 ? "n" : wanted.promptField,
    );
  const maxTokens = responseTokens(Math.max(...prompts.map(({ length }) => length)), model, limits.tokens, wanted);
  const known = (id: number, field: string) => {
    if (id < vocabularySize) return id;
    throw badRequest(`there is no token ${id}: the model has ${vocabularySize}`, field);
  };
  for (const prompt of prompts) for (const id of prompt) known(id, wanted.promptField);
  const bias = Object.entries(fields.logit_bias ?? {}).map(
    ([id, value]) => [known(Number(id), "logit_bias"), value] as const,
  );
  const stopIds = (fields.stop_token_ids ?? []).map((id) => known(id, "stop_token_ids"));
  if (fields.stream_options !== undefined && fields.stream !== true)
    throw badRequest("`stream_options` may only be given with `stream: true`", "stream_options");
  const ends = fields.ignore_eos === true ? [] : tokenizer.stopIds;
  return {
    prompts,
    n: responses,
    seed: fields.seed ?? randomInt(2 ** 47),
    sampler: {
      temperature: fields.temperature ?? 1,
      topP: fields.top_p ?? 1,
      topK: Math.max(0, fields.top_k ?? 0),
      minP: fields.min_p ?? 0,
      repetitionPenalty: fields.repetition_penalty ?? 1,
      presencePenalty: fields.presence_penalty ?? 0,
      frequencyPenalty: fields.frequency_penalty ?? 0,
      ...(bias.length === 0 ? {} : { logitBias: new Map(bias) }),
    },
    stops: fields.stop,
    minTokens: fields.min_tokens ?? 0,
    maxTokens,
    endIds: new Set([...ends, ...stopIds]),
  };
}

/** How many tokens a response may have. */
function responseTokens(
  promptTokens: number,
  { room: most, maxPositions }: ServedModel,
  limit: number | undefined,
  wanted: Wanted,
): number {
  const room = most - promptTokens;
  const asked = wanted.maxTokens;
  if (room < (asked ?? 1))
    throw badRequest(
      `${most < maxPositions ? `this server's memory holds ${most} tokens of a text` : `this model's context has ${most} tokens`}; the prompt has ${promptTokens}${asked === undefined ? "" : `, and ${asked} are asked for`}`,
      wanted.promptField,
      "context_length_exceeded",
    );
  if (asked !== undefined && limit !== undefined && asked > limit)
    throw badRequest(`${asked} tokens are asked for, and this server gives at most ${limit}`, wanted.maxTokensField);
  return asked ?? Math.min(room, limit ?? room, wanted.defaultTokens ?? room);
}

/**
 * Refuses a text that is too long whatever its tokens are, before time is spent on them.
 * @param length in UTF-16 units: no text has fewer bytes
 */
export function refuseHuge({ maxPositions, longestToken }: ServedModel, length: number, field: string): void {
  if (length > maxPositions * longestToken)
    throw badRequest(
      `this model's context has ${maxPositions} tokens, and no ${length} characters go into so many`,
      field,
      "context_length_exceeded",
    );
}

/** The prompts of a completion or of embeddings as tokens: a text begins as the model's texts do, with BOS where it has that. */
export function promptIds(
  model: ServedModel,
  given: CompletionRequest["prompt"],
  field: string,
): { readonly ids: readonly number[]; readonly text: string | undefined }[] {
  const { tokenizer } = model;
  const isIds = (value: readonly unknown[]): value is number[] => typeof value[0] === "number";
  const list: readonly (string | readonly number[])[] =
    typeof given === "string" ? [given] : isIds(given) ? [given] : given;
  return list.map((prompt, index) => {
    if (typeof prompt !== "string") return { ids: prompt, text: undefined };
    refuseHuge(model, prompt.length, field);
    const encoded = tokenizer.encode(prompt, { special: true });
    const { bosId, addsBos } = tokenizer;
    const ids = addsBos && bosId !== undefined && encoded[0] !== bosId ? [bosId, ...encoded] : encoded;
    if (ids.length === 0)
      throw badRequest("an empty text has no tokens to go on from", list === given ? `${field}[${index}]` : field);
    return { ids, text: prompt };
  });
}
