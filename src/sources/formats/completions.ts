import { z } from "zod";
import { beginsThinking, compileChatTemplate } from "../../tokenizers/index.ts";
import { type ChatCompletion, type ChatRequest, logProbsSchema, timingsSchema, usageSchema } from "../completion.ts";
import { brokenOff, withoutRepeats } from "../event-stream.ts";
import { streamUsage, withOwnTokens } from "../own-usage.ts";
import { type Parsed, parsed } from "../wire.ts";
import type { FormatOf } from "./format.ts";

/** OpenAI's plain completions: the text that the model goes on with is made here, by the recipe's own template. */
export const completionsFormat: FormatOf = ({ model, stream, chat_template, special_tokens }) => {
  const template = compileChatTemplate(chat_template!, { field: "endpoint.chat_template" });
  // The server puts the first token before every text itself.
  const render = (messages: ChatRequest["messages"]) =>
    template.render(messages, { bos_token: "", add_generation_prompt: true, ...special_tokens });
  return {
    begunThinking: (messages) => beginsThinking(render(messages)),
    path: "/completions",
    tail: "/completions",
    keyHeader: { name: "authorization", before: "Bearer " },
    body: ({ messages, seed, logprobs, top_logprobs, ...rest }, { seed: seeded, streamUsage }) => ({
      model,
      prompt: render(messages),
      ...rest,
      ...(logprobs === true ? { logprobs: top_logprobs ?? 1 } : {}),
      ...(seeded && seed !== undefined ? { seed } : {}),
      ...(stream ? { stream, ...(streamUsage ? { stream_options: { include_usage: true } } : {}) } : {}),
    }),
    read(answer) {
      const text = parsed(textSchema.safeParse(answer), "a completion");
      return "fault" in text ? text : { value: asChat(text.value) };
    },
    join: joinTexts,
  };
};

const textSchema = z.object({
  choices: z.array(
    z.object({
      index: z.int().min(0).optional(),
      text: z.string(),
      finish_reason: z.string().nullish(),
      logprobs: logProbsSchema,
    }),
  ),
  usage: usageSchema.nullish(),
  timings: timingsSchema,
});
type TextCompletion = z.infer<typeof textSchema>;

function asChat({ choices, usage, timings }: TextCompletion): ChatCompletion {
  const completion = {
    choices: choices.map(({ text, ...choice }) => ({ ...choice, message: { content: text, refusal: null } })),
    usage,
  };
  return timings ? withOwnTokens(completion, timings) : completion;
}

function joinTexts(events: readonly unknown[]): Parsed<ChatCompletion> {
  const whole = new Map<number, ChatCompletion["choices"][number] & { index: number }>();
  const usage = streamUsage();
  let pieces = 0;
  for (const event of events) {
    const chunk = parsed(textSchema.safeParse(event), "a piece of a completion");
    if ("fault" in chunk) return chunk;
    for (const piece of asChat(chunk.value).choices) {
      const { index = 0, message, finish_reason, logprobs } = piece;
      const choice = whole.get(index) ?? { index, message: { content: "", refusal: null } };
      whole.set(index, choice);
      if (choice.finish_reason && (message.content || finish_reason))
        return { fault: "the stream goes on after its end: some of it came twice" };
      if (message.content) pieces += 1;
      choice.message.content = `${choice.message.content}${message.content}`;
      if (logprobs?.content) choice.logprobs = { content: [...(choice.logprobs?.content ?? []), ...logprobs.content] };
      choice.finish_reason = finish_reason ?? choice.finish_reason;
      if (finish_reason) usage.ended(index);
    }
    usage.told(chunk.value.usage);
  }
  const choices = [...whole.values()];
  if (choices.length === 0 || choices.some(({ finish_reason }) => !finish_reason)) return { fault: brokenOff };
  return withoutRepeats(usage.counted(choices), pieces);
}
