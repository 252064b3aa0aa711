import { z } from "zod";
import type { Message } from "../../schema/index.ts";
import type { Parsed } from "../../sources/index.ts";

/** A response to be scored, in the forms that protocols send. */
export interface Item {
  readonly messages: readonly Message[];
  readonly response: string;
  /** The conversation up to the answer, and with it, as one text; where there is a template. */
  readonly prompt?: string;
  readonly conversation?: string;
}

/** What a server says of the responses of a call, in their order; and what else, by name. */
export interface Told {
  readonly values: readonly unknown[];
  readonly beside: Readonly<Record<string, readonly unknown[]>>;
}

/** How a server is asked for scores. */
export interface Protocol {
  /** What follows the URL. */
  readonly path: string;
  /** What of a URL is left away before. */
  readonly tail?: RegExp;
  /** Of an item: whether it can be asked about, and why not. */
  unfit?(item: Item): string | undefined;
  /** Items that fit into one call. */
  readonly together: number;
  body(items: readonly Item[]): Record<string, unknown>;
  read(answer: unknown): Parsed<Told>;
}

const numbersOf = z.array(z.unknown());

const says =
  (schema: z.ZodType<Told>, what: string) =>
  (answer: unknown): Parsed<Told> => {
    const parsed = schema.safeParse(answer);
    if (parsed.success) return { value: parsed.data };
    const issue = parsed.error.issues[0]!;
    return { fault: `the answer is not ${what}: ${issue.message} at ${issue.path.join(".") || "its top"}` };
  };

/** Lists that have a number for each response; others (a mean of them all) belong to none. */
const lists = (fields: Readonly<Record<string, unknown>>, count: number) =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([name, list]) =>
      Array.isArray(list) && list.length === count ? [[name, list as readonly unknown[]]] : [],
    ),
  );

/** Amalgam's own: {"items": [{"messages", "response"}]} is answered by {"scores": [number], "parts": {name: [number]}}. */
const scores: Protocol = {
  path: "",
  together: Number.POSITIVE_INFINITY,
  body: (items) => ({ items: items.map(({ messages, response }) => ({ messages, response })) }),
  read: says(
    z
      .object({ scores: numbersOf, parts: z.record(z.string(), numbersOf).default({}) })
      .transform(({ scores, parts }) => ({ values: scores, beside: parts })),
    '{"scores": [...]}',
  ),
};

/**
 * OpenRLHF's reward servers (0.11 and before): {"query", "prompts", "labels"}, lists of texts, is answered by {"rewards": [...]}, newer ones
 * with `scores` and `extra_logs` beside it. A prompt has no label here: it is sent as the empty text, as OpenRLHF does.
 */
const openrlhf: Protocol = {
  path: "",
  together: Number.POSITIVE_INFINITY,
  body: (items) => ({
    query: items.map(({ conversation }) => conversation),
    prompts: items.map(({ prompt }) => prompt),
    labels: items.map(() => ""),
  }),
  read: says(
    z
      .object({
        rewards: z.union([numbersOf, z.number().transform((reward) => [reward])]),
        scores: z.unknown().optional(),
        extra_logs: z.record(z.string(), z.unknown()).nullish(),
      })
      .transform(({ rewards, scores, extra_logs }) => ({
        values: rewards,
        beside: lists({ ...extra_logs, scores }, rewards.length),
      })),
    '{"rewards": [...]}',
  ),
};

/** vLLM numbers what it gives. */
const inOrder = (entries: readonly { readonly index?: number | undefined; readonly value: unknown }[]): Told => ({
  values: [...entries].sort((a, b) => (a.index ?? 0) - (b.index ?? 0)).map(({ value }) => value),
  beside: {},
});

const index = z.int().min(0).optional();

/** Each of them once, or none at all. */
function numbered(entries: readonly { readonly index?: number | undefined }[]): boolean {
  const numbers = new Set(entries.map(({ index }) => index));
  if (numbers.has(undefined)) return numbers.size === 1;
  return numbers.size === entries.length && Math.max(...(numbers as Set<number>), -1) < entries.length;
}
const misnumbered = "its entries are not numbered from 0 on, each once";

/** vLLM's `/score`: two lists of texts, of which each pair has a score. */
const vllmScore: Protocol = {
  path: "/score",
  tail: /(\/v1)?(\/score)?\/*$/,
  together: Number.POSITIVE_INFINITY,
  unfit: ({ messages, prompt }) =>
    prompt === undefined && messages.length > 1
      ? "a prompt of several messages is one text here only by a `chat_template` of the endpoint"
      : undefined,
  body: (items) => ({
    text_1: items.map(({ prompt, messages }) => prompt ?? messages[0]!.content),
    text_2: items.map(({ response }) => response),
  }),
  read: says(
    z
      .object({ data: z.array(z.object({ index, score: z.unknown().optional() })).refine(numbered, misnumbered) })
      .transform(({ data }) => inOrder(data.map(({ index, score }) => ({ index, value: score })))),
    "one of /score",
  ),
};

/** vLLM's `/pooling`: a conversation a call, laid out by the model's own template; or texts, where the recipe has a template. */
const vllmPooling = (templated: boolean): Protocol => ({
  path: "/pooling",
  tail: /(\/v1)?(\/pooling)?\/*$/,
  together: templated ? Number.POSITIVE_INFINITY : 1,
  body: (items) =>
    templated
      ? { input: items.map(({ conversation }) => conversation), add_special_tokens: false }
      : {
          messages: [...items[0]!.messages, { role: "assistant", content: items[0]!.response }],
          add_generation_prompt: false,
        },
  read: says(
    z
      .object({ data: z.array(z.object({ index, data: z.unknown().optional() })).refine(numbered, misnumbered) })
      .transform(({ data }) => inOrder(data.map(({ index, data: value }) => ({ index, value })))),
    "one of /pooling",
  ),
});

export const protocolOf = (name: "scores" | "openrlhf" | "vllm_score" | "vllm_pooling", templated: boolean): Protocol =>
  ({ scores, openrlhf, vllm_score: vllmScore, vllm_pooling: vllmPooling(templated) })[name];
