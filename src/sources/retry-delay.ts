import { type HeaderValues, numberOf } from "./headers.ts";

const longestBackoffMs = 30_000;

/** Exponential backoff, doubled with each try and capped, less a random part of up to half of it: calls spread out. */
export function backoffMs(tries: number, firstMs: number, random: () => number = Math.random): number {
  return Math.min(longestBackoffMs, firstMs * 2 ** tries) * (1 - random() / 2);
}

/**
 * How long the server asks to wait: `Retry-After` in seconds or as an HTTP date (RFC 9110, 10.2.3), and the
 * `retry-after-ms` that OpenAI and Azure send beside it. A date counts from the server's own `Date`, so that a wrong
 * clock here does no harm. `undefined` where it does not say, or not in a readable way.
 */
export function retryAfterMs(headers: HeaderValues, now: number = Date.now()): number | undefined {
  const milliseconds = numberOf(headers["retry-after-ms"]);
  if (milliseconds !== undefined) return milliseconds;
  const seconds = numberOf(headers["retry-after"]);
  if (seconds !== undefined) return seconds * 1000;
  const until = date(headers["retry-after"]);
  return until === undefined ? undefined : Math.max(0, until - (date(headers.date) ?? now));
}

function date(value: string | string[] | undefined): number | undefined {
  const time = typeof value === "string" && /[a-z]/i.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}
