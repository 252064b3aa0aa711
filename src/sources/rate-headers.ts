import { type HeaderValues, numberOf } from "./headers.ts";

/** How the servers call what is left of a limit, and when it is whole again. */
const families = [
  {
    unit: "requests",
    limit: "x-ratelimit-limit-requests",
    left: "x-ratelimit-remaining-requests",
    reset: "x-ratelimit-reset-requests",
  },
  {
    unit: "tokens",
    limit: "x-ratelimit-limit-tokens",
    left: "x-ratelimit-remaining-tokens",
    reset: "x-ratelimit-reset-tokens",
  },
  {
    unit: "requests",
    limit: "anthropic-ratelimit-requests-limit",
    left: "anthropic-ratelimit-requests-remaining",
    reset: "anthropic-ratelimit-requests-reset",
  },
  {
    unit: "tokens",
    limit: "anthropic-ratelimit-tokens-limit",
    left: "anthropic-ratelimit-tokens-remaining",
    reset: "anthropic-ratelimit-tokens-reset",
  },
  {
    unit: "tokens",
    limit: "anthropic-ratelimit-output-tokens-limit",
    left: "anthropic-ratelimit-output-tokens-remaining",
    reset: "anthropic-ratelimit-output-tokens-reset",
  },
] as const;

/**
 * How long the next call should wait by the limits that an answer's headers tell: until so many requests (one) or tokens
 * are left. A limit fills evenly up to its reset; where its size isn't told, the reset itself is waited for. 0 where
 * enough is left, or nothing is told.
 */
export function rateHeaderWaitMs(headers: HeaderValues, tokens: number, now: number = Date.now()): number {
  let wait = 0;
  for (const { unit, limit, left, reset } of families) {
    const remaining = numberOf(headers[left]);
    const until = resetMs(headers[reset], headers.date, now);
    const needed = unit === "requests" ? 1 : tokens;
    if (remaining === undefined || until === undefined || remaining >= needed) continue;
    const size = numberOf(headers[limit]);
    const missing = size === undefined || size <= remaining ? 1 : (needed - remaining) / (size - remaining);
    wait = Math.max(wait, until * Math.min(1, missing));
  }
  return wait;
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** OpenAI's durations (`6m0s`, `20ms`), plain seconds, or a moment (RFC 3339), by the server's own clock. */
function resetMs(
  value: string | string[] | undefined,
  date: string | string[] | undefined,
  now: number,
): number | undefined {
  if (typeof value !== "string") return undefined;
  const seconds = numberOf(value);
  if (seconds !== undefined) return seconds * 1000;
  if (/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(value.trim())) {
    const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
    return parts.reduce((sum, [, count, unit]) => sum + Number(count) * unitMs[unit!]!, 0);
  }
  const until = Date.parse(value);
  if (Number.isNaN(until)) return undefined;
  const server = typeof date === "string" ? Date.parse(date) : Number.NaN;
  return Math.max(0, until - (Number.isNaN(server) ? now : server));
}
