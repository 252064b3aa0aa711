import { z } from "zod";
import type { Message } from "../schema/index.ts";
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

const tokenLogProb = z.object({ token: z.string(), logprob: z.number() });

const logProbsSchema = z.object({
  content: z.array(z.object({ ...tokenLogProb.shape, top_logprobs: z.array(tokenLogProb).default([]) })).nullish(),
});

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
    const thought = [reasoning_content ?? reasoning ?? "", ...thoughts].join("");
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
  logprobs: logProbsSchema.nullish(),
});

export const usageSchema = z.object({
  prompt_tokens: z.int().min(0),
  completion_tokens: z.int().min(0),
  completion_tokens_details: z.object({ reasoning_tokens: z.int().min(0).nullish() }).nullish(),
});

const completionSchema = z.object({ choices: z.array(choiceSchema), usage: usageSchema.nullish() });

export type LogProbs = z.infer<typeof logProbsSchema>;
export type ChatChoice = z.infer<typeof choiceSchema>;
export type ChatUsage = z.infer<typeof usageSchema>;
/** An answer in OpenAI's form, into which those of the other formats are brought. */
export type ChatCompletion = z.infer<typeof completionSchema>;

/** A whole chat completion, or which field is missing or wrong. */
export function parseCompletion(value: unknown): Parsed<ChatCompletion> {
  return parsed(completionSchema.safeParse(value), "a chat completion");
}
