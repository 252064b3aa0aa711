import type { Answer } from "./exchange.ts";
import { retryAfterMs } from "./retry-delay.ts";
import { type ChatCompletion, parseCompletion, parseError, parseJson, type ServerError } from "./wire.ts";

/** What an answer means for the call, and for those after it. Reasons are not scrubbed yet. */
export type Verdict =
  | { readonly kind: "completion"; readonly completion: ChatCompletion }
  /** May go well another time; `waitMs` is the server's own wish. */
  | { readonly kind: "retry"; readonly reason: string; readonly waitMs?: number }
  /** This call will never go well; others may. */
  | { readonly kind: "failed"; readonly reason: string }
  /** The server does not take a field of the request. */
  | { readonly kind: "rejected"; readonly field: string; readonly reason: string }
  /** No call will go well before a person has done something. */
  | { readonly kind: "fatal"; readonly reason: string; readonly cure: Cure };

export type Cure = "key" | "model" | "credit" | "url";

/** Fields of a request that a server may not know; the longest names first, for they are looked up in its words. */
const optionalFields = [
  "max_completion_tokens",
  "repetition_penalty",
  "frequency_penalty",
  "presence_penalty",
  "top_logprobs",
  "temperature",
  "logit_bias",
  "max_tokens",
  "min_tokens",
  "logprobs",
  "min_p",
  "top_p",
  "top_k",
  "stop",
  "seed",
  "n",
];

/** Reads an answer to a chat-completions call that carried the fields `sent`. */
export function verdictOn(answer: Answer, sent: readonly string[]): Verdict {
  const { status } = answer;
  const json = parseJson(answer.body);
  const error = "value" in json ? parseError(json.value) : undefined;
  if (status >= 200 && status < 300) {
    if ("fault" in json) return { kind: "retry", reason: json.fault };
    const completion = parseCompletion(json.value);
    if ("value" in completion) return { kind: "completion", completion: completion.value };
    // Some routers answer 200 and put the failure of the server behind them into the body.
    if (error === undefined) return { kind: "retry", reason: completion.fault };
    const inner = Number(error.code);
    return refusal(inner >= 400 && inner < 600 ? inner : 500, answer, error, sent);
  }
  return refusal(status, answer, error, sent);
}

function refusal(status: number, answer: Answer, error: ServerError | undefined, sent: readonly string[]): Verdict {
  const words = error?.message ?? "";
  const reason = words === "" ? `HTTP ${status}` : `HTTP ${status}: ${words}`;
  const marks = `${error?.code ?? ""} ${error?.type ?? ""}`;
  if (status === 402 || /insufficient_quota|billing|credit_balance/.test(marks)) {
    return { kind: "fatal", reason, cure: "credit" };
  }
  if (error !== undefined && (error.moderated || /content_?(filter|policy)|moderation/i.test(marks))) {
    return { kind: "failed", reason: `the prompt was held back by a content filter (${reason})` };
  }
  // The server's words about a key tend to show it, so only the status is told.
  if (status === 401 || status === 407) return { kind: "fatal", reason: `HTTP ${status}`, cure: "key" };
  if (status === 403) return { kind: "fatal", reason, cure: "key" };
  if (status === 404 || /model_not_found/.test(marks)) return { kind: "fatal", reason, cure: "model" };
  if (status < 400 || status === 405 || status === 501)
    return { kind: "fatal", reason: reason + target(answer), cure: "url" };
  if (status === 408 || status === 409 || status === 425 || status === 429 || status >= 500) {
    const waitMs = retryAfterMs(answer.headers);
    return { kind: "retry", reason, ...(waitMs === undefined ? {} : { waitMs }) };
  }
  if (/context_length|context length|maximum context|too many tokens/i.test(`${marks} ${words}`)) {
    return { kind: "failed", reason: `the prompt and max_tokens don't fit into the model's context (${reason})` };
  }
  const field = error === undefined ? undefined : rejectedField(error, sent);
  return field === undefined ? { kind: "failed", reason } : { kind: "rejected", field, reason };
}

function rejectedField(error: ServerError, sent: readonly string[]): string | undefined {
  const candidates = optionalFields.filter((field) => sent.includes(field));
  if (error.param !== undefined && candidates.includes(error.param)) return error.param;
  return candidates.find((field) => new RegExp(`(['"\`])${field}\\1|^${field}\\b`).test(error.message));
}

/** Where a redirect points, without what may be secret in it. */
function target(answer: Answer): string {
  const { location } = answer.headers;
  if (typeof location !== "string" || !URL.canParse(location)) return "";
  const { origin, pathname } = new URL(location);
  return `, a redirect to ${origin}${pathname}`;
}
