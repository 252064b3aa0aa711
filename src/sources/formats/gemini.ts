import { z } from "zod";
import type { Message } from "../../schema/index.ts";
import type { ChatCompletion, LogProbs } from "../completion.ts";
import { brokenOff } from "../event-stream.ts";
import { type Parsed, parsed } from "../wire.ts";
import type { FormatOf } from "./format.ts";

/** Gemini's contents: the model stands in the URL, the assistant is called model. */
export const geminiFormat: FormatOf = ({ model, stream }) => ({
  path: `/${model.includes("/") ? model : `models/${model}`}:${stream ? "streamGenerateContent" : "generateContent"}`,
  ...(stream ? { query: { alt: "sse" } } : {}),
  keyHeader: { name: "x-goog-api-key", before: "" },
  names: {
    candidateCount: "n",
    candidate_count: "n",
    "Multiple candidates": "n",
    maxOutputTokens: "max_tokens",
    stopSequences: "stop",
    presencePenalty: "presence_penalty",
    frequencyPenalty: "frequency_penalty",
  },
  lacks: ["min_p", "repetition_penalty", "logit_bias", "min_tokens", "response_format"],
  body: (
    { messages, max_tokens, n, temperature, top_p, top_k, stop, seed, logprobs, top_logprobs, ...more },
    dialect,
  ) => ({
    ...contentsOf(messages),
    generationConfig: {
      maxOutputTokens: max_tokens,
      ...(more.presence_penalty === undefined ? {} : { presencePenalty: more.presence_penalty }),
      ...(more.frequency_penalty === undefined ? {} : { frequencyPenalty: more.frequency_penalty }),
      ...(n === undefined ? {} : { candidateCount: n }),
      ...(temperature === undefined ? {} : { temperature }),
      ...(top_p === undefined ? {} : { topP: top_p }),
      ...(top_k === undefined ? {} : { topK: top_k }),
      ...(stop === undefined ? {} : { stopSequences: stop }),
      ...(seed === undefined || !dialect.seed ? {} : { seed }),
      ...(logprobs === true ? { responseLogprobs: true, ...(top_logprobs ? { logprobs: top_logprobs } : {}) } : {}),
    },
  }),
  read: (answer) => joinContents([answer]),
  join: joinContents,
});

function contentsOf(messages: readonly Message[]): Record<string, unknown> {
  const system = messages.filter(({ role }) => role === "system").map(({ content }) => ({ text: content }));
  return {
    contents: messages
      .filter(({ role }) => role !== "system")
      .map(({ role, content }) => ({ role: role === "assistant" ? "model" : "user", parts: [{ text: content }] })),
    ...(system.length === 0 ? {} : { systemInstruction: { parts: system } }),
  };
}

const tokenSchema = z.object({ token: z.string(), logProbability: z.number() });
const count = z.int().min(0).nullish();

const answerSchema = z.object({
  candidates: z
    .array(
      z.object({
        index: z.int().min(0).nullish(),
        content: z
          .object({
            parts: z.array(z.object({ text: z.string().nullish(), thought: z.boolean().nullish() })).default([]),
          })
          .nullish(),
        finishReason: z.string().nullish(),
        logprobsResult: z
          .object({
            chosenCandidates: z.array(tokenSchema).default([]),
            topCandidates: z.array(z.object({ candidates: z.array(tokenSchema).default([]) })).default([]),
          })
          .nullish(),
      }),
    )
    .default([]),
  promptFeedback: z.object({ blockReason: z.string().nullish() }).nullish(),
  usageMetadata: z
    .object({ promptTokenCount: count, candidatesTokenCount: count, thoughtsTokenCount: count })
    .nullish(),
});
type Answer = z.infer<typeof answerSchema>;

/** Why Gemini ends an answer, in OpenAI's words; what is not here is told as it is. */
const finishes: Readonly<Record<string, string>> = {
  STOP: "stop",
  MAX_TOKENS: "length",
  FINISH_REASON_UNSPECIFIED: "",
  SAFETY: "content_filter",
  RECITATION: "content_filter",
  BLOCKLIST: "content_filter",
  PROHIBITED_CONTENT: "content_filter",
  SPII: "content_filter",
};

function joinContents(answers: readonly unknown[]): Parsed<ChatCompletion> {
  const choices = new Map<number, ChatCompletion["choices"][number]>();
  let usage: Answer["usageMetadata"];
  for (const given of answers) {
    const read = parsed(answerSchema.safeParse(given), "an answer of Gemini");
    if ("fault" in read) return read;
    const { candidates, promptFeedback, usageMetadata } = read.value;
    usage = usageMetadata ?? usage;
    if (promptFeedback?.blockReason && candidates.length === 0)
      choices.set(0, { index: 0, finish_reason: "content_filter", message: { content: "", refusal: null } });
    for (const { index, content, finishReason, logprobsResult } of candidates) {
      const at = index ?? 0;
      const choice = choices.get(at) ?? { index: at, message: { content: "", refusal: null } };
      choices.set(at, choice);
      if (choice.finish_reason && (content?.parts.some(({ text }) => text) || finishReason))
        return { fault: "the stream goes on after its end: some of it came twice" };
      for (const { text, thought } of content?.parts ?? []) {
        if (thought) choice.message.reasoning = (choice.message.reasoning ?? "") + (text ?? "");
        else choice.message.content = `${choice.message.content}${text ?? ""}`;
      }
      if (logprobsResult)
        choice.logprobs = { content: [...(choice.logprobs?.content ?? []), ...logProbsOf(logprobsResult)] };
      if (finishReason) choice.finish_reason = finishes[finishReason] ?? finishReason;
    }
  }
  const whole = [...choices.values()];
  if (whole.length === 0 || whole.some(({ finish_reason }) => !finish_reason)) return { fault: brokenOff };
  return {
    value: {
      choices: whole,
      usage: usage && {
        prompt_tokens: usage.promptTokenCount ?? 0,
        completion_tokens: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
        completion_tokens_details: { reasoning_tokens: usage.thoughtsTokenCount ?? 0 },
      },
    },
  };
}

function logProbsOf(
  result: NonNullable<Answer["candidates"][number]["logprobsResult"]>,
): NonNullable<LogProbs["content"]> {
  const asToken = ({ token, logProbability }: z.infer<typeof tokenSchema>) => ({ token, logprob: logProbability });
  return result.chosenCandidates.map((chosen, at) => ({
    ...asToken(chosen),
    top_logprobs: (result.topCandidates[at]?.candidates ?? []).map(asToken),
  }));
}
