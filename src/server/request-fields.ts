import { z } from "zod";

/** OpenAI's API takes null for a field that is not given. */
const optional = <T extends z.ZodType>(type: T) => type.nullish().transform((value) => value ?? undefined);

const longestName = 256;
const mostStops = 16;
/** Beside a token's own log-prob. */
export const mostTopLogProbs = 20;

const text = z.string();
const longestStop = 500;
const stopText = text.min(1).max(longestStop);
const stop = z.union([stopText, z.array(stopText).max(mostStops)], {
  error: `should be a text of 1 to ${longestStop} characters, or a list of at most ${mostStops} of them`,
});

/** Fields that chats and completions have in common: OpenAI's, and below them those that vLLM and others have beside them. */
export const samplingFields = {
  model: text.min(1).max(longestName),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  n: optional(z.int().min(1).max(1024)),
  seed: optional(z.int()),
  stop: optional(stop).transform((value) => (value === undefined ? [] : [value].flat())),
  presence_penalty: optional(z.number().min(-2).max(2)),
  frequency_penalty: optional(z.number().min(-2).max(2)),
  logit_bias: optional(z.record(text.regex(/^\d{1,9}$/, "should be a token's number"), z.number().min(-100).max(100))),
  stream: optional(z.boolean()),
  stream_options: optional(
    z.strictObject({ include_usage: optional(z.boolean()), include_obfuscation: optional(z.literal(false)) }),
  ),

  top_k: optional(z.int().min(-1)),
  min_p: optional(z.number().min(0).max(1)),
  repetition_penalty: optional(z.number().gt(0).max(10)),
  min_tokens: optional(z.int().min(0)),
  ignore_eos: optional(z.boolean()),
  stop_token_ids: optional(z.array(z.int().min(0)).max(64)),

  // These decide nothing about a response here.
  user: optional(text),
  safety_identifier: optional(text),
  prompt_cache_key: optional(text),
  metadata: optional(z.record(text, text)),
  store: optional(z.boolean()),
  service_tier: optional(text),
};

const maxTokens = optional(z.int().min(1));

const completionFields = {
  prompt: z.union(
    [text, z.array(text).min(1), z.array(z.int().min(0)).min(1), z.array(z.array(z.int().min(0)).min(1)).min(1)],
    { error: "should be a text, a list of texts, a list of token ids, or a list of such lists" },
  ),
  max_tokens: optional(z.int().min(0)),
  best_of: optional(z.int().min(1)),
  echo: optional(z.boolean()),
  logprobs: optional(z.int().min(0).max(mostTopLogProbs)),
  suffix: optional(z.literal("", { error: "text before a suffix can't be written by this server" })),
};

/** The body of `/v1/completions`. */
export const completionSchema = z.strictObject({ ...samplingFields, ...completionFields });
export type CompletionRequest = z.infer<typeof completionSchema>;

const textPart = z.looseObject({
  type: z.enum(["text", "input_text"], { error: "this server takes parts of type `text` only" }),
  text,
});
const content = z.union([text, z.array(textPart)], { error: "should be a text, or a list of text parts" });
const joined = (value: string | readonly { readonly text: string }[]) =>
  typeof value === "string" ? value : value.map((part) => part.text).join("");
const functionName = text.regex(/^[A-Za-z0-9_.-]{1,64}$/, "1 to 64 letters, digits, '_', '.' and '-'");

const toolCall = z.looseObject({
  id: optional(text),
  type: z.literal("function"),
  function: z.looseObject({ name: text.min(1), arguments: text }),
});

/** Clients send back messages as they were given them: fields that are not known here are left out. */
const message = z.discriminatedUnion("role", [
  z.looseObject({ role: z.enum(["system", "developer"]), content: content.transform(joined) }),
  z.looseObject({ role: z.literal("user"), content: content.transform(joined) }),
  z.looseObject({
    role: z.literal("assistant"),
    content: content.nullish().transform((value) => joined(value ?? "")),
    tool_calls: optional(z.array(toolCall).max(128)),
  }),
  z.looseObject({ role: z.literal("tool"), content: content.transform(joined), tool_call_id: optional(text) }),
]);
export type RequestMessage = z.infer<typeof message>;

const tool = z.strictObject({
  type: z.literal("function"),
  function: z.strictObject({
    name: functionName,
    description: optional(text),
    parameters: optional(z.record(text, z.unknown())),
    strict: optional(z.boolean()),
  }),
});

const responseFormat = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }),
  z.strictObject({
    type: z.literal("json_schema"),
    json_schema: z.strictObject({
      name: functionName,
      description: optional(text),
      schema: z.record(text, z.unknown()),
      strict: optional(z.boolean()),
    }),
  }),
]);

const chatFields = {
  messages: z.array(message).min(1),
  max_tokens: maxTokens,
  max_completion_tokens: maxTokens,
  logprobs: optional(z.boolean()),
  top_logprobs: optional(z.int().min(0).max(mostTopLogProbs)),
  tools: optional(z.array(tool).max(128)),
  tool_choice: optional(
    z.union(
      [
        z.enum(["none", "auto", "required"]),
        z.strictObject({ type: z.literal("function"), function: z.strictObject({ name: functionName }) }),
      ],
      { error: "should be none, auto, required, or {type: function, function: {name}}" },
    ),
  ),
  parallel_tool_calls: optional(z.boolean()),
  response_format: optional(responseFormat),
  reasoning_effort: optional(text),
  chat_template_kwargs: optional(z.record(text, z.unknown())),
  modalities: optional(z.array(z.literal("text", { error: "this server writes text only" }))),
};

/** The body of `/v1/chat/completions`. */
export const chatSchema = z.strictObject({ ...samplingFields, ...chatFields });
export type ChatRequest = z.infer<typeof chatSchema>;

/** The body of `/v1/embeddings`. */
export const embeddingSchema = z.strictObject({
  model: text.min(1).max(longestName),
  input: completionFields.prompt,
  encoding_format: optional(z.enum(["float", "base64"])),
  user: optional(text),
});

/** The body of `/v1/load_lora_adapter`. */
export const loadAdapterSchema = z.strictObject({
  lora_name: text.regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/, "letters, digits, '.', '_', ':', '/' and '-' only"),
  lora_path: text.min(1).max(4096),
  base_model_name: optional(text.min(1).max(longestName)),
  cache_mib: optional(z.number().gt(0)),
});

/** The body of `/v1/unload_lora_adapter`. */
export const unloadAdapterSchema = z.looseObject({ lora_name: text.min(1).max(longestName) });
