import { z } from "zod";
import { environmentVariable } from "./environment-variable.ts";

const positive = z.number().gt(0);
const headerName = z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "the name of an HTTP header");

/** Money for a million tokens, in whichever currency the recipe's budget is meant. */
const priceSchema = z.strictObject({ input: z.number().min(0), output: z.number().min(0) });
export type PriceRecipe = z.infer<typeof priceSchema>;

/** Whether what a model thinks, between <think> and </think>, is kept apart from the answer. */
export const thinkingSchema = z.enum(["apart", "keep"]).default("apart");
export type Thinking = z.infer<typeof thinkingSchema>;

/** Fields of a call that Amalgam fills in itself, in any of the formats: `body` must not replace them. */
const ownFields = ["model", "messages", "contents", "prompt", "system", "systemInstruction", "n", "stream", "seed"];

/** How a server is called, whatever it is asked for. */
const url = z.url({ protocol: /^https?$/ });
const callFields = {
  key_env: environmentVariable.optional(),
  /** The header that carries the key; by default the format's own, or `api-key` at an Azure deployment's URL. */
  key_header: headerName.optional(),
  /** Further headers, each with the environment variable that holds its value. */
  headers_env: z.record(headerName, environmentVariable).default({}),
  /** The most calls at a time; how many there are is found by how the server bears them. */
  concurrency: z.int().min(1).default(64),
  requests_per_minute: positive.optional(),
  tokens_per_minute: positive.optional(),
  price: priceSchema.optional(),
  timeout_seconds: positive.default(120),
  retries: z.int().min(0).default(5),
  /** A server that gives nothing for so long is given up for this time. */
  give_up_seconds: positive.default(300),
  /** A call that has no answer after this is made a second time beside the first. */
  hedge_after_seconds: positive.optional(),
};

/** What a call needs of a recipe, be it for responses or for scores. */
export interface CallRecipe extends z.infer<z.ZodObject<typeof callFields>> {
  readonly url: string;
  readonly model?: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * A server that models answer at, and how it is called. Keys are read from the environment variables that are named and
 * written nowhere.
 */
export const endpointSchema = z
  .strictObject({
    url,
    model: z.string().min(1),
    /** What calls and answers look like: OpenAI's chat or plain completions, Anthropic's messages, Gemini's contents. */
    format: z.enum(["chat", "completions", "anthropic", "gemini"]).default("chat"),
    ...callFields,
    /** Further fields of every call's body. */
    body: z
      .record(z.string(), z.unknown())
      .refine((body) => ownFields.every((field) => !(field in body)), {
        error: `not ${ownFields.join(", ")}: these are Amalgam's own`,
      })
      .default({}),
    /** Jinja text that makes one text of the messages, for `format: completions`. */
    chat_template: z.string().min(1).optional(),
    /** What the template's variables for special tokens stand for; the server puts the first token itself. */
    special_tokens: z.record(z.string(), z.string()).default({}),
    /** Answers come in pieces: what a server is silent for, and not a whole call, is bounded by `timeout_seconds` then. */
    stream: z.boolean().default(false),
    thinking: thinkingSchema,
    /** Keep the log-probs of the tokens with each response. */
    logprobs: z.boolean().default(false),
    /** Ask for n completions in one call where the server can; otherwise one call each. */
    native_n: z.boolean().default(true),
  })
  .superRefine(({ format, chat_template, logprobs }, context) => {
    const refuse = (field: string, message: string) => context.addIssue({ code: "custom", path: [field], message });
    if (format === "completions" && chat_template === undefined)
      refuse("chat_template", "plain completions need a template that makes one text of the messages");
    if (format !== "completions" && chat_template !== undefined)
      refuse("chat_template", "the server applies its own in this format; write `format: completions`");
    if (format === "anthropic" && logprobs) refuse("logprobs", "this format has none");
  });
export type EndpointRecipe = z.infer<typeof endpointSchema>;

/** Fields of a call for scores, in any of the protocols. */
const ownScoreFields = ["model", "items", "query", "prompts", "labels", "text_1", "text_2", "input", "messages"];

/** A server that scores responses. */
export const scoringEndpointSchema = z.strictObject({
  url,
  ...callFields,
  /** As the server names it, where it has several. */
  model: z.string().min(1).optional(),
  /** Further fields of every call's body. */
  body: z
    .record(z.string(), z.unknown())
    .refine((body) => ownScoreFields.every((field) => !(field in body)), {
      error: `not ${ownScoreFields.join(", ")}: these are Amalgam's own`,
    })
    .default({}),
  /** Jinja text that makes one text of a conversation, for protocols that send texts. */
  chat_template: z.string().min(1).optional(),
  /** What the template's variables for special tokens stand for. */
  special_tokens: z.record(z.string(), z.string()).default({}),
});
export type ScoringEndpointRecipe = z.infer<typeof scoringEndpointSchema>;
