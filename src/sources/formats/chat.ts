import { z } from "zod";
import { type ChatCompletion, choiceSchema, parseCompletion, spokenSchema, usageSchema } from "../completion.ts";
import { brokenOff, withoutRepeats } from "../event-stream.ts";
import { streamUsage } from "../own-usage.ts";
import { type Parsed, parsed } from "../wire.ts";
import type { FormatOf } from "./format.ts";

/** OpenAI's chat completions, which most servers have. */
export const chatFormat: FormatOf = ({ model, stream }) => ({
  path: "/chat/completions",
  tail: "/chat/completions",
  keyHeader: { name: "authorization", before: "Bearer " },
  body: ({ max_tokens, seed, ...rest }, { tokensField, seed: seeded, streamUsage }) => ({
    model,
    ...rest,
    [tokensField]: max_tokens,
    ...(seeded && seed !== undefined ? { seed } : {}),
    ...(stream ? { stream, ...(streamUsage ? { stream_options: { include_usage: true } } : {}) } : {}),
  }),
  read: parseCompletion,
  join: joinChat,
});

const chunkSchema = z.object({
  choices: z.array(
    z.object({
      ...choiceSchema.omit({ message: true }).shape,
      delta: spokenSchema.nullish(),
    }),
  ),
  usage: usageSchema.nullish(),
});

type Whole = ChatCompletion["choices"][number] & { index: number };

function joinChat(events: readonly unknown[]): Parsed<ChatCompletion> {
  const choices = new Map<number, Whole>();
  const usage = streamUsage();
  // Of thoughts servers don't all count the tokens.
  let pieces = 0;
  for (const event of events) {
    const chunk = parsed(chunkSchema.safeParse(event), "a piece of a chat completion");
    if ("fault" in chunk) return chunk;
    for (const { index = 0, delta, finish_reason, logprobs } of chunk.value.choices) {
      const choice: Whole = choices.get(index) ?? { index, message: { content: null, refusal: null } };
      choices.set(index, choice);
      const { message } = choice;
      const said = `${delta?.content ?? ""}${delta?.reasoning ?? ""}${delta?.refusal ?? ""}`;
      if (delta?.content || delta?.refusal) pieces += 1;
      if (choice.finish_reason && (said !== "" || finish_reason))
        return { fault: "the stream goes on after its end: some of it came twice" };
      if (delta?.content) message.content = (message.content ?? "") + delta.content;
      if (delta?.refusal) message.refusal = (message.refusal ?? "") + delta.refusal;
      if (delta?.reasoning) message.reasoning = (message.reasoning ?? "") + delta.reasoning;
      if (logprobs?.content) choice.logprobs = { content: [...(choice.logprobs?.content ?? []), ...logprobs.content] };
      choice.finish_reason = finish_reason ?? choice.finish_reason;
      if (finish_reason) usage.ended(index);
    }
    usage.told(chunk.value.usage);
  }
  const whole = [...choices.values()];
  if (whole.length === 0 || whole.some(({ finish_reason }) => !finish_reason)) return { fault: brokenOff };
  return withoutRepeats(usage.counted(whole), pieces);
}
