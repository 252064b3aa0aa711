/** Paces calls to so many a minute. */
export interface RateLimiter {
  /** Counts a call of about so many tokens, and says how many milliseconds it has to wait before it starts. */
  reserve(tokens: number): number;
  /** What was counted for a call was so much too little, or too much if negative. */
  correct(tokens: number): void;
}

/**
 * Requests and tokens a minute, either or both. Calls are spread evenly, so that no minute, wherever it begins, has more
 * than a second's worth above its share. Calls come in the order of asking; a call's tokens are paid after it, as nobody
 * knows them before.
 */
export function rateLimiter(
  perMinute: { readonly requests?: number | undefined; readonly tokens?: number | undefined },
  now: () => number = () => performance.now(),
): RateLimiter {
  const requests = meter(perMinute.requests, now);
  const tokens = meter(perMinute.tokens, now);
  return {
    reserve: (count) => Math.max(requests.take(1), tokens.take(count)),
    correct: (count) => tokens.add(count),
  };
}

/** The moment up to which everything that was counted is paid for; a second of leisure may be saved up. */
function meter(perMinute: number | undefined, now: () => number) {
  if (perMinute === undefined) return { take: () => 0, add: () => {} };
  const msEach = 60_000 / perMinute;
  let paidUntil = now();
  return {
    take(count: number): number {
      const time = now();
      paidUntil = Math.max(paidUntil, time - 1000);
      const wait = Math.max(0, paidUntil - time);
      paidUntil += count * msEach;
      return wait;
    },
    add(count: number): void {
      paidUntil += count * msEach;
    },
  };
}
