import { z } from "zod";
import type { EndpointRecipe } from "../schema/index.ts";
import { type Calls, type EndpointOptions, openCalls } from "./calls.ts";
import { completionWords } from "./client-errors.ts";
import { usageSchema } from "./completion.ts";
import { estimatedTokens } from "./tokens.ts";
import { parsed } from "./wire.ts";

/** A text that a server goes on with, as it stands: no chat template is applied. */
export interface PlainRequest {
  readonly prompt: string;
  readonly maxTokens: number;
  readonly stop?: readonly string[];
  /** The prompt comes back with the log-prob of each of its tokens. */
  readonly echo?: boolean;
}

export interface PlainCompletion {
  readonly text: string;
  readonly finish: "stop" | "length";
  readonly promptTokens: number;
  readonly responseTokens: number;
  /** Where each token begins in the text, and its log-prob; undefined where the server tells none. */
  readonly tokens: readonly { readonly offset: number; readonly logProb: number | null }[] | undefined;
}

const answerSchema = z.object({
  choices: z
    .array(
      z.object({
        text: z.string(),
        finish_reason: z.string().nullish(),
        logprobs: z
          .object({
            token_logprobs: z.array(z.number().nullable()).nullish(),
            text_offset: z.array(z.int().min(0)).nullish(),
          })
          .nullish(),
      }),
    )
    .min(1),
  usage: usageSchema.nullish(),
});

/** Opens a server's `/completions` for texts as they stand; nothing is sent yet. Throws EnvironmentError when a key is missing. */
export const openPlainCompletions = (
  recipe: EndpointRecipe,
  options: EndpointOptions = {},
): Calls<PlainRequest, PlainCompletion> =>
  openCalls<PlainRequest, PlainCompletion>(
    recipe,
    {
      path: "/completions",
      tail: "/completions",
      keyHeader: { name: "authorization", before: "Bearer " },
      words: completionWords,
      stream: false,
      body: ({ prompt, maxTokens, stop = [], echo = false }) => ({
        model: recipe.model,
        prompt,
        max_tokens: maxTokens,
        temperature: 0,
        ...(stop.length === 0 ? {} : { stop }),
        ...(echo ? { echo, logprobs: 1 } : {}),
      }),
      fields: ({ stop, echo }) => [
        "max_tokens",
        "temperature",
        ...(stop === undefined ? [] : ["stop"]),
        ...(echo === true ? ["echo", "logprobs"] : []),
      ],
      reading: ({ prompt }) => ({
        read(answer) {
          const found = parsed(answerSchema.safeParse(answer), "a completion");
          if ("fault" in found) return found;
          const { choices, usage } = found.value;
          const { text, finish_reason, logprobs } = choices[0]!;
          const offsets = logprobs?.text_offset;
          const values = logprobs?.token_logprobs;
          const told = offsets && values && offsets.length === values.length;
          return {
            value: {
              text,
              finish: finish_reason === "length" ? "length" : "stop",
              promptTokens: usage?.prompt_tokens ?? estimatedTokens(Buffer.byteLength(prompt)),
              responseTokens: usage?.completion_tokens ?? estimatedTokens(Buffer.byteLength(text)),
              tokens: told ? offsets.map((offset, at) => ({ offset, logProb: values[at]! })) : undefined,
            },
          };
        },
      }),
      most: ({ prompt, maxTokens }) => ({ inputTokens: Buffer.byteLength(prompt) + 16, outputTokens: maxTokens }),
      used: (_, { promptTokens, responseTokens }) => ({ inputTokens: promptTokens, outputTokens: responseTokens }),
    },
    options,
  );
