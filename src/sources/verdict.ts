import { isEventStream, readEvents } from "./event-stream.ts";
import type { Answer } from "./exchange.ts";
import type { WireFormat } from "./formats/format.ts";
import { retryAfterMs } from "./retry-delay.ts";
import { type Parsed, parseError, parseJson, type ServerError } from "./wire.ts";

/** What an answer means for the call, and for those after it. Reasons are not scrubbed yet. */
export type Verdict<Given> = { readonly kind: "given"; readonly given: Given } | Refusal;

type Refusal =
  /** May go well another time; `waitMs` is the server's own wish. */
  | {
      readonly kind: "retry";
      readonly reason: string;
      readonly waitMs?: number;
      /** The server has more to do than it can: fewer calls at a time would help. */
      readonly pressed: boolean;
      /** Whether it may have computed an answer, and counts it. */
      readonly billed: boolean;
    }
  /** This call will never go well; others may. */
  | { readonly kind: "failed"; readonly reason: string }
  /** The server does not take a field of the request. */
  | { readonly kind: "rejected"; readonly field: string; readonly reason: string }
  /** No call will go well before a person has done something. */
  | { readonly kind: "fatal"; readonly reason: string; readonly cure: Cure };

export type Cure = "key" | "model" | "credit" | "url";

/** Fields of a request that a server may not know; the longest names first, for they are looked up in its words. */
const optionalFields = [
  "response_format",
  "stream_options",
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

/** How the answers of a format are read. */
export interface Reading<Given> extends Pick<WireFormat, "names"> {
  /** JSON of the bytes, where it is not to be read strictly. */
  parse?(body: Uint8Array): Parsed<unknown>;
  read(answer: unknown): Parsed<Given>;
  /** Makes one answer of the events of a whole stream. */
  join?(events: readonly unknown[]): Parsed<Given>;
}

/** Reads an answer to a call of this format whose request carried the fields `sent`. */
export function verdictOn<Given>(
  answer: Answer,
  format: Reading<Given>,
  sent: readonly string[],
  stream = false,
): Verdict<Given> {
  const { status, body } = answer;
  const good = status >= 200 && status < 300;
  if (good && stream && format.join !== undefined && isEventStream(answer.headers["content-type"], body)) {
    const events = readEvents(body);
    if ("fault" in events) return unreadable(events.fault);
    const error = events.value.map(innerError).find(Boolean);
    if (error !== undefined) {
      const verdict = refusal(innerStatus(error), answer, error, format, sent);
      // What came before the error was computed.
      return verdict.kind === "retry" ? { ...verdict, billed: events.value.length > 1 } : verdict;
    }
    const joined = format.join(events.value);
    return "fault" in joined ? unreadable(joined.fault) : { kind: "given", given: joined.value };
  }
  const json = (format.parse ?? parseJson)(body);
  if (!good) return refusal(status, answer, "value" in json ? parseError(json.value) : undefined, format, sent);
  if ("fault" in json) return unreadable(json.fault);
  const given = format.read(json.value);
  if ("value" in given) return { kind: "given", given: given.value };
  // Some routers answer 200 and put the failure of the server behind them into the body.
  const error = parseError(json.value);
  return error === undefined ? unreadable(given.fault) : refusal(innerStatus(error), answer, error, format, sent);
}

/** As OpenAI and vLLM, llama.cpp, Anthropic, TGI and Gemini say it. */
const tooLong =
  /context_length|context length|maximum context|too many tokens|context size|prompt is too long|tokens?\b.{0,60}(exceeds|must be <=)/i;

const unreadable = (reason: string): Refusal => ({ kind: "retry", reason, pressed: false, billed: true });

/** What an event of a stream says has gone wrong. */
const innerError = (event: unknown): ServerError | undefined =>
  typeof event === "object" && event !== null && "error" in event && event.error !== null
    ? parseError(event)
    : undefined;

function innerStatus({ code, type }: ServerError): number {
  const status = Number(code);
  if (status >= 400 && status < 600) return status;
  if (/rate_limit/.test(type)) return 429;
  if (/invalid_request|validation/.test(type)) return 400;
  return /overloaded/.test(type) ? 503 : 500;
}

function refusal(
  status: number,
  answer: Answer,
  error: ServerError | undefined,
  format: Pick<WireFormat, "names">,
  sent: readonly string[],
): Refusal {
  const words = error?.message ?? "";
  const reason = words === "" ? `HTTP ${status}` : `HTTP ${status}: ${words}`;
  const marks = `${error?.code ?? ""} ${error?.type ?? ""}`;
  if (
    status === 402 ||
    /insufficient_quota|billing|credit_balance/.test(marks) ||
    /credit balance is too low/i.test(words)
  ) {
    return { kind: "fatal", reason, cure: "credit" };
  }
  if (error !== undefined && (error.moderated || /content_?(filter|policy)|moderation/i.test(marks))) {
    return { kind: "failed", reason: `the prompt was held back by a content filter (${reason})` };
  }
  // The server's words about a key tend to show it, so only the status is told.
  if (status === 401 || status === 407 || /API_KEY_INVALID/.test(marks))
    return { kind: "fatal", reason: `HTTP ${status}`, cure: "key" };
  if (status === 403) return { kind: "fatal", reason, cure: "key" };
  if (status === 404 || /model_not_found/.test(marks)) return { kind: "fatal", reason, cure: "model" };
  if (status < 400 || status === 405 || status === 501)
    return { kind: "fatal", reason: reason + target(answer), cure: "url" };
  if (status === 408 || status === 409 || status === 425 || status === 429 || status >= 500) {
    const waitMs = retryAfterMs(answer.headers) ?? error?.waitMs;
    const pressed = status === 408 || status === 429 || status === 503 || status === 504 || status === 529;
    return { kind: "retry", reason, pressed, billed: false, ...(waitMs === undefined ? {} : { waitMs }) };
  }
  if (tooLong.test(`${marks} ${words}`)) {
    return { kind: "failed", reason: `the prompt and max_tokens don't fit into the model's context (${reason})` };
  }
  const field = error === undefined ? undefined : rejectedField(error, format, sent);
  return field === undefined ? { kind: "failed", reason } : { kind: "rejected", field, reason };
}

function rejectedField(
  { param, message }: ServerError,
  { names = {} }: Pick<WireFormat, "names">,
  sent: readonly string[],
): string | undefined {
  const candidates = optionalFields.filter((field) => sent.includes(field));
  if (param !== undefined && candidates.includes(param)) return param;
  const own = Object.entries(names).find(([name, field]) => sent.includes(field) && message.includes(name));
  if (own !== undefined) return own[1];
  return candidates.find((field) => new RegExp(`(['"\`])${field}\\1|^${field}\\b`).test(message));
}

/** Where a redirect points, without what may be secret in it. */
function target(answer: Answer): string {
  const { location } = answer.headers;
  if (typeof location !== "string" || !URL.canParse(location)) return "";
  const { origin, pathname } = new URL(location);
  return `, a redirect to ${origin}${pathname}`;
}
