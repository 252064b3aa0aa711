import { z } from "zod";
import type { Message } from "../schema/index.ts";

/** The body of a chat-completions call, less the model: what is left out is the server's to decide. */
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

const choiceSchema = z.object({
  index: z.int().min(0).optional(),
  finish_reason: z.string().nullish(),
  message: z.object({ content: z.string().nullish(), refusal: z.string().nullish() }),
  logprobs: z
    .object({
      content: z.array(z.object({ ...tokenLogProb.shape, top_logprobs: z.array(tokenLogProb).default([]) })).nullish(),
    })
    .nullish(),
});

const usageSchema = z.object({
  prompt_tokens: z.int().min(0),
  completion_tokens: z.int().min(0),
  completion_tokens_details: z.object({ reasoning_tokens: z.int().min(0).nullish() }).nullish(),
});

const completionSchema = z.object({
  choices: z.array(choiceSchema),
  usage: usageSchema.nullish(),
});
export type ChatChoice = z.infer<typeof choiceSchema>;
export type ChatUsage = z.infer<typeof usageSchema>;
export type ChatCompletion = z.infer<typeof completionSchema>;

const modelsSchema = z.object({ data: z.array(z.object({ id: z.string() })) });

const text = z.string().nullish().catch(undefined);
const detailsSchema = z.object({
  message: text,
  type: text,
  param: text,
  code: z.union([z.string(), z.number()]).nullish().catch(undefined),
  metadata: z
    .object({ reasons: z.array(z.unknown()).nullish() })
    .nullish()
    .catch(undefined),
});
/** What FastAPI writes of a body that it refuses: Mistral's, TGI's and many small servers' way. */
const invalidFields = z.array(z.object({ type: text, loc: z.array(z.unknown()).default([]), msg: text }));
const errorSchema = z.union([
  z.object({ error: z.union([z.string().transform((message) => ({ message })), detailsSchema]) }),
  z.object({ detail: z.union([z.string(), invalidFields]) }),
  z.object({ message: z.union([z.string(), z.object({ detail: invalidFields })]) }),
]);

/** What a server says about a call that it refuses. */
export interface ServerError {
  readonly message: string;
  readonly type: string;
  readonly param: string | undefined;
  readonly code: string;
  /** The input was held back by a moderation. */
  readonly moderated: boolean;
}

export type Parsed<T> = { readonly value: T } | { readonly fault: string };

/** JSON of these bytes, or what is wrong with them. The fault quotes nothing of them. */
export function parseJson(body: Uint8Array): Parsed<unknown> {
  if (body.length === 0) return { fault: "the answer is empty" };
  let content: string;
  try {
    content = new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    return { fault: "the answer is not UTF-8" };
  }
  try {
    return { value: JSON.parse(content) };
  } catch {
    const start = content.trimStart()[0];
    if (start === "{" || start === "[")
      return { fault: `the answer's JSON breaks off or is damaged (${body.length} bytes)` };
    if (start === "<") return { fault: "the answer is a web page, not JSON: the URL may not be an API's" };
    if (content.startsWith("data:")) return { fault: "the answer is an event stream, which was not asked for" };
    return { fault: "the answer is not JSON" };
  }
}

/** A whole chat completion, or which field is missing or wrong. */
export function parseCompletion(value: unknown): Parsed<ChatCompletion> {
  return parsed(completionSchema.safeParse(value), "a chat completion");
}

/** The ids of `GET /models`. */
export function parseModels(value: unknown): Parsed<string[]> {
  const models = parsed(modelsSchema.safeParse(value), "a list of models");
  return "fault" in models ? models : { value: models.value.data.map(({ id }) => id) };
}

function parsed<T>(result: z.ZodSafeParseResult<T>, what: string): Parsed<T> {
  if (result.success) return { value: result.data };
  const issue = result.error.issues[0]!;
  const where = issue.path.length === 0 ? "" : ` at ${issue.path.join(".")}`;
  return { fault: `the answer is not ${what}: ${issue.message}${where}` };
}

/** The server's own words about a failure, in any of the usual shapes; `undefined` where there are none. */
export function parseError(value: unknown): ServerError | undefined {
  const result = errorSchema.safeParse(value);
  if (!result.success) return undefined;
  const { data } = result;
  if ("error" in data) return fromDetails(detailsSchema.parse(data.error));
  const detail = "detail" in data ? data.detail : data.message;
  if (typeof detail === "string") {
    const beside = detailsSchema.safeParse(value);
    return fromDetails({ ...(beside.success ? beside.data : {}), message: detail });
  }
  const fields = Array.isArray(detail) ? detail : detail.detail;
  return fromDetails({
    message: fields.map(({ loc, msg }) => `${loc.join(".")}: ${msg ?? "not valid"}`).join("; "),
    type: fields[0]?.type,
    param: String(fields[0]?.loc.at(-1) ?? ""),
  });
}

function fromDetails(details: Partial<z.infer<typeof detailsSchema>>): ServerError {
  const { message, type, param, code, metadata } = details;
  return {
    message: message ?? "",
    type: type ?? "",
    param: param ?? undefined,
    code: String(code ?? ""),
    moderated: (metadata?.reasons ?? []).length > 0,
  };
}
