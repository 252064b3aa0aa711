import { z } from "zod";

/** One turn of a conversation. */
export const messageSchema = z.strictObject({
  role: z.enum(["system", "user", "assistant"]),
  content: z.string(),
});
export type Message = z.infer<typeof messageSchema>;

/** A turn as chat templates take it: a message, or one of a tool or with tool calls, whose further fields the template knows. */
export interface Turn {
  readonly role: string;
  readonly content: string;
  readonly [field: string]: unknown;
}

/** A verifiable instruction of a prompt: which check, with the prompt's own arguments (see `rewards/checks`). */
export const checkSpecSchema = z.strictObject({
  id: z.string().min(1),
  args: z.record(z.string(), z.unknown()).default({}),
});
export type CheckSpec = z.infer<typeof checkSpecSchema>;

/** A prompt x: the conversation up to the turn that is to be answered. */
export interface Prompt {
  readonly id: string;
  readonly messages: readonly Message[];
  readonly checks: readonly CheckSpec[];
  readonly domain?: string;
}

/** How responses are drawn. `seed` names the random stream; each response has its own (prompt, source, index). */
export const samplingSchema = z.strictObject({
  temperature: z.number().min(0).max(10),
  top_p: z.number().gt(0).max(1),
  /** 0 keeps the whole vocabulary. */
  top_k: z.int().min(0),
  max_tokens: z.int().min(1),
  stop: z.array(z.string().min(1)),
  seed: z.int().min(0),
  /** Tokens less probable than this share of the most probable one are left out. */
  min_p: z.number().min(0).max(1).optional(),
  /** Logits of tokens that the prompt or the response has are divided by it where positive, multiplied where not. */
  repetition_penalty: z.number().gt(0).max(10).optional(),
  /** Taken from the logits of tokens that the response has: once, and as often as it has them. */
  presence_penalty: z.number().min(-2).max(2).optional(),
  frequency_penalty: z.number().min(-2).max(2).optional(),
  /** Added to the logits of tokens, by their ids in the model's vocabulary. */
  logit_bias: z.record(z.string().regex(/^\d+$/, "the id of a token"), z.number().min(-100).max(100)).optional(),
  /** Nothing ends a response before. */
  min_tokens: z.int().min(0).optional(),
  /** What a response must look like, whole: a match of this, or JSON that fits the schema. */
  regex: z.string().min(1).optional(),
  json_schema: z.record(z.string(), z.unknown()).optional(),
});
export type Sampling = z.infer<typeof samplingSchema>;

/** Why a response ended: its end-of-turn token or a stop string, or the token limit. */
export type Finish = "stop" | "length";

/** What came with a response beside its text. */
export const responseExtrasSchema = z.object({
  /** What the model thought before it answered: no part of the response. */
  reasoning: z.string().optional(),
  /** The log-prob of each token of the answer, as the server tells it; null where it tells none. */
  logprobs: z.array(z.object({ token: z.string(), logprob: z.number().nullable() })).optional(),
});
export type ResponseExtras = z.infer<typeof responseExtrasSchema>;

/** A response y of one source to one prompt. */
export interface Response {
  /** Content key of (prompt's messages, source's identity, sampling, index). */
  readonly key: string;
  readonly promptId: string;
  readonly source: string;
  readonly index: number;
  readonly text: string;
  readonly finish: Finish;
  readonly promptTokens: number;
  readonly responseTokens: number;
  readonly extras?: ResponseExtras;
}

/** One component of a reward, before weighting: a check that passed (1) or failed (0), a judge's expected rating. */
export interface ScorePart {
  readonly name: string;
  readonly value: number;
  readonly weight: number;
}

/** The reward of a response: the weighted sum of its parts. */
export interface Score {
  readonly responseKey: string;
  /** Identity of the reward that gave it: a changed reward never mixes with an earlier one. */
  readonly reward: string;
  readonly value: number;
  readonly parts: readonly ScorePart[];
}

/** One row of the interchange format of the reference code and the published WRPO dataset: chosen = [y_ws, y_wt] (with k responses of the sources [y_ws1, ..., y_wsk, y_wt]), rejected = [y_l]. */
export const quadrupleRowSchema = z.strictObject({
  prompt_id: z.string().min(1),
  prompt: z.union([messageSchema, z.array(messageSchema).min(1)]),
  chosen: z.array(messageSchema).min(2),
  rejected: z.array(messageSchema).min(1),
});
export type QuadrupleRow = z.infer<typeof quadrupleRowSchema>;

/** (x, y_ws, y_wt, y_l): paper section 3.3. */
export interface Quadruple {
  readonly promptId: string;
  readonly messages: readonly Message[];
  /** y_ws, the preferred response of the sources. */
  readonly sourceChosen: string;
  /** Further responses of the sources that stand beside y_ws, best first. */
  readonly furtherSources?: readonly string[];
  /** y_wt, the preferred response of the target. */
  readonly targetChosen: string;
  /** y_l, the dispreferred response of the target. */
  readonly rejected: string;
}
