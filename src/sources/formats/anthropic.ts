import { z } from "zod";
import type { Message } from "../../schema/index.ts";
import type { ChatCompletion } from "../completion.ts";
import { brokenOff } from "../event-stream.ts";
import { type Parsed, parsed } from "../wire.ts";
import type { FormatOf } from "./format.ts";

/** Anthropic's messages: the system message stands apart, thoughts are blocks of their own; no n and no seed. */
export const anthropicFormat: FormatOf = ({ model, stream }) => ({
  path: "/messages",
  tail: "/messages",
  keyHeader: { name: "x-api-key", before: "" },
  headers: { "anthropic-version": "2023-06-01" },
  names: { stop_sequences: "stop" },
  lacks: [
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "min_tokens",
    "response_format",
  ],
  body: ({ messages, max_tokens, temperature, top_p, top_k, stop }) => ({
    model,
    ...systemApart(messages),
    max_tokens,
    ...(temperature === undefined ? {} : { temperature }),
    // Newer models take one of the two only; 1 is what top_p is without.
    ...(top_p === undefined || top_p === 1 ? {} : { top_p }),
    ...(top_k === undefined ? {} : { top_k }),
    ...(stop === undefined ? {} : { stop_sequences: stop }),
    ...(stream ? { stream } : {}),
  }),
  read(answer) {
    const message = parsed(messageSchema.safeParse(answer), "a message");
    return "fault" in message ? message : { value: asChat(message.value) };
  },
  join: joinMessage,
});

function systemApart(messages: readonly Message[]): Record<string, unknown> {
  const system = messages.filter(({ role }) => role === "system").map(({ content }) => content);
  return {
    messages: messages.filter(({ role }) => role !== "system"),
    ...(system.length === 0 ? {} : { system: system.join("\n\n") }),
  };
}

const blockSchema = z.object({ type: z.string(), text: z.string().optional(), thinking: z.string().optional() });

const tokens = z.int().min(0).nullish();
const usageSchema = z.object({
  input_tokens: tokens,
  cache_creation_input_tokens: tokens,
  cache_read_input_tokens: tokens,
  output_tokens: tokens,
});
type Usage = z.infer<typeof usageSchema>;

const messageSchema = z.object({
  content: z.array(blockSchema),
  stop_reason: z.string().nullish(),
  usage: usageSchema.nullish(),
});

function asChat({ content, stop_reason, usage }: z.infer<typeof messageSchema>): ChatCompletion {
  const text = content.map((block) => (block.type === "text" ? (block.text ?? "") : "")).join("");
  const reasoning = content.map(({ thinking }) => thinking ?? "").join("");
  const refused = stop_reason === "refusal";
  return {
    choices: [
      {
        index: 0,
        finish_reason: stop_reason,
        message: { content: text, refusal: refused ? "refused" : null, ...(reasoning === "" ? {} : { reasoning }) },
      },
    ],
    usage: usage ? asUsage(usage) : undefined,
  };
}

/** What comes from and goes into a cache are tokens of the prompt, too. */
const asUsage = (usage: Usage) => ({
  prompt_tokens:
    (usage.input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0) + (usage.cache_read_input_tokens ?? 0),
  completion_tokens: usage.output_tokens ?? 0,
});

const knownEvents = z.discriminatedUnion("type", [
  z.object({ type: z.literal("message_start"), message: z.object({ usage: usageSchema.nullish() }) }),
  z.object({ type: z.literal("content_block_start"), index: z.int(), content_block: blockSchema }),
  z.object({ type: z.literal("content_block_delta"), index: z.int(), delta: blockSchema }),
  z.object({ type: z.literal("content_block_stop"), index: z.int() }),
  z.object({
    type: z.literal("message_delta"),
    delta: z.object({ stop_reason: z.string().nullish() }),
    usage: usageSchema.nullish(),
  }),
  z.object({ type: z.literal("message_stop") }),
]);
const eventTypes: ReadonlySet<string> = new Set(knownEvents.options.map(({ shape }) => shape.type.value));

/** Pings, and further events that Anthropic may add, tell nothing of the text. */
const isFurther = (event: unknown): boolean =>
  typeof event === "object" &&
  event !== null &&
  "type" in event &&
  typeof event.type === "string" &&
  !eventTypes.has(event.type);

type Block = z.infer<typeof blockSchema> & { open: boolean };

/** What an event leaves open holds as an earlier one told it. */
const told = (usage: Usage): Usage => Object.fromEntries(Object.entries(usage).filter(([, count]) => count !== null));

const twice = { fault: "the stream's events are out of order: some came twice or were lost" };

function joinMessage(events: readonly unknown[]): Parsed<ChatCompletion> {
  const blocks: Block[] = [];
  let usage: Usage | undefined;
  let stopReason: string | null | undefined;
  let ended = false;
  for (const given of events) {
    if (isFurther(given)) continue;
    const read = parsed(knownEvents.safeParse(given), "an event of a message");
    if ("fault" in read) return read;
    const event = read.value;
    if (ended) return twice;
    switch (event.type) {
      case "message_start":
        usage = event.message.usage ?? undefined;
        break;
      case "content_block_start":
        if (event.index !== blocks.length) return twice;
        blocks.push({ ...event.content_block, open: true });
        break;
      case "content_block_delta": {
        const block = blocks[event.index];
        if (block?.open !== true) return twice;
        if (event.delta.text !== undefined) block.text = (block.text ?? "") + event.delta.text;
        if (event.delta.thinking !== undefined) block.thinking = (block.thinking ?? "") + event.delta.thinking;
        break;
      }
      case "content_block_stop":
        if (blocks[event.index]?.open !== true) return twice;
        blocks[event.index]!.open = false;
        break;
      case "message_delta":
        stopReason = event.delta.stop_reason ?? stopReason;
        usage = event.usage ? { ...usage, ...told(event.usage) } : usage;
        break;
      case "message_stop":
        ended = true;
    }
  }
  if (!ended || blocks.some(({ open }) => open)) return { fault: brokenOff };
  return { value: asChat({ content: blocks, stop_reason: stopReason, usage }) };
}
