import { z } from "zod";
import type { Message } from "../schema/index.ts";
import { withOwnTokens } from "./own-usage.ts";
import { type Parsed, parsed } from "./wire.ts";

/** What is asked of a model, in whatever format: what is left out is the server's to decide. */
export interface ChatRequest {
  readonly messages: readonly Message[];
  readonly max_tokens: number;
  readonly n?: number;
  readonly temperature?: number;
  readonly top_p?: number;
  readonly top_k?: number;
  readonly min_p?: number | undefined;
  readonly repetition_penalty?: number | undefined;
  readonly presence_penalty?: number | undefined;
  readonly frequency_penalty?: number | undefined;
  readonly logit_bias?: Readonly<Record<string, number>> | undefined;
  readonly min_tokens?: number | undefined;
  readonly response_format?: Readonly<Record<string, unknown>>;
  readonly stop?: readonly string[];
  readonly seed?: number;
  readonly logprobs?: boolean;
  readonly top_logprobs?: number;
}

/** JSON has no minus infinity: null stands for it, and for what isn't told. */
const tokenLogProb = z.object({ token: z.string(), logprob: z.number().nullable() });

const told = ({ token, logprob }: z.infer<typeof tokenLogProb>) => (logprob === null ? [] : [{ token, logprob }]);

const listsOrColumns = z
  .object({
    content: z.array(z.object({ ...tokenLogProb.shape, top_logprobs: z.array(tokenLogProb).nullish() })).nullish(),
    tokens: z.array(z.string().nullable()).nullish(),
    token_logprobs: z.array(z.number().nullable()).nullish(),
    top_logprobs: z.array(z.record(z.string(), z.number().nullable()).nullable()).nullish(),
  })
  .transform(({ content, tokens, token_logprobs, top_logprobs }) => ({
    content:
      content?.map(({ token, logprob, top_logprobs: top }) => ({
        token,
        logprob,
        top_logprobs: (top ?? []).flatMap(told),
      })) ??
      tokens?.map((token, at) => ({
        token: token ?? "",
        logprob: token_logprobs?.[at] ?? null,
        top_logprobs: Object.entries(top_logprobs?.[at] ?? {}).flatMap(([token, logprob]) => told({ token, logprob })),
      })) ??
      (content === null ? null : undefined),
  }));

/**
 * Log-probs as a list of tokens, which chat completions have and llama.cpp's plain ones; or in columns, which plain completions
 * have and Together's chats. Together's streams have a number in their place, which tells of no token: it is left out.
 */
export const logProbsSchema = z.union([z.number().transform(() => undefined), listsOrColumns]).nullish();

/** A text, or its parts as Mistral's reasoning models write them. */
const contentSchema = z.union([
  z.string(),
  z.array(z.looseObject({ type: z.string(), text: z.string().optional(), thinking: z.unknown().optional() })),
]);

/** A message, or a piece of one. Servers have two names for what a model thinks before it answers. */
export const spokenSchema = z
  .object({
    content: contentSchema.nullish(),
    refusal: z.string().nullish(),
    reasoning_content: z.string().nullish(),
    reasoning: z.string().nullish(),
  })
  .transform(({ content, refusal, reasoning_content, reasoning }) => {
    const parts = typeof content === "string" || !content ? [] : content;
    const thoughts = parts.filter(({ type }) => type === "thinking").map(({ thinking }) => plainText(thinking));
    const thought = [reasoning_content || reasoning || "", ...thoughts].join("");
    return {
      content: parts.length === 0 ? (content as string | null | undefined) : plainText(parts),
      refusal,
      ...(thought === "" ? {} : { reasoning: thought }),
    };
  });

function plainText(parts: unknown): string {
  if (typeof parts === "string") return parts;
  const texts = z.array(z.object({ text: z.string().catch("") })).safeParse(parts);
  return texts.success ? texts.data.map(({ text }) => text).join("") : "";
}

export const choiceSchema = z.object({
  index: z.int().min(0).optional(),
  finish_reason: z.string().nullish(),
  message: spokenSchema,
  logprobs: logProbsSchema,
});

/** Where a server leaves the tokens of thoughts out of `completion_tokens`, they are in the total: they are paid for. */
export const usageSchema = z
  .object({
    prompt_tokens: z.int().min(0),
    completion_tokens: z.int().min(0),
    total_tokens: z.int().min(0).nullish(),
    completion_tokens_details: z.object({ reasoning_tokens: z.int().min(0).nullish() }).nullish(),
  })
  .transform(({ prompt_tokens, completion_tokens, total_tokens, completion_tokens_details }) => ({
    prompt_tokens,
    completion_tokens: Math.max(completion_tokens, (total_tokens ?? 0) - prompt_tokens),
    ...(completion_tokens_details ? { completion_tokens_details } : {}),
  }));

/** llama.cpp's server tells by them what it counted. */
export const timingsSchema = z
  .object({ predicted_n: z.int().min(0) })
  .nullish()
  .catch(undefined);

const completionSchema = z
  .object({ choices: z.array(choiceSchema), usage: usageSchema.nullish(), timings: timingsSchema })
  .transform(({ timings, ...completion }) => (timings ? withOwnTokens(completion, timings) : completion));

export type LogProbs = NonNullable<z.infer<typeof logProbsSchema>>;
export type ChatUsage = z.infer<typeof usageSchema>;
/** `tokens`: its own, where it is known what each choice of a call had. */
export type ChatChoice = z.infer<typeof choiceSchema> & { readonly tokens?: number };
/** An answer in OpenAI's form, into which those of the other formats are brought. */
export interface ChatCompletion {
  choices: ChatChoice[];
  usage?: ChatUsage | null | undefined;
}

/** A whole chat completion, or which field is missing or wrong. */
export function parseCompletion(value: unknown): Parsed<ChatCompletion> {
  return parsed(completionSchema.safeParse(value), "a chat completion");
}
