/** How a call went, for the choice of how many there may be at a time. */
export type CallOutcome =
  /** It took so many milliseconds for so many tokens of answer. */
  | { readonly kind: "done"; readonly ms: number; readonly tokens: number }
  /** The server has more to do than it can (429, 503, a timeout). */
  | { readonly kind: "pressed" }
  /** It says nothing about the load: refused, reset, aborted. */
  | { readonly kind: "other" };

/** A free place that was waited for; `leave` frees it again, once. */
export interface Place {
  leave(outcome: CallOutcome): void;
}

export interface AdaptiveLimiter {
  /** Waits for a free place, in the order of asking. Rejects with the signal's reason. */
  enter(signal: AbortSignal): Promise<Place>;
  /** How many calls there may be at a time now. */
  limit(): number;
}

const startingLimit = 8;
/** Calls of a window, at least: the times of a few calls say little. */
const leastWindow = 8;
/** Of further calls at a time, this share has to become throughput. */
const worthwhile = 0.5;
/** A token's time of short answers is the time of the prompt. */
const fixedTokens = 16;

/**
 * At most `most` calls at a time, and fewer where a server bears no more. The limit rises while latency holds: half as
 * much again with each window of calls until the first setback, by a tenth then. It holds if the time per token has grown
 * by less than half of what the limit has: by Little's law at least half of the added calls became throughput. If it has
 * not, the limit goes back and rests for some windows, for twice as many each time. When the server is pressed it falls
 * to 0.6 of itself, once for all calls that were under way together.
 */
export function adaptiveLimiter(most: number, now: () => number = () => performance.now()): AdaptiveLimiter {
  let limit = Math.min(startingLimit, most);
  let open = 0;
  let step = 1.5;
  let base: { readonly limit: number; readonly pace: number } | undefined;
  let window = { calls: 0, ms: 0, tokens: 0, full: false };
  let rest = 0;
  let restNext = 4;
  let cutAt = Number.NEGATIVE_INFINITY;
  const queue: (() => void)[] = [];

  const admit = (): void => {
    while (open < limit && queue.length > 0) {
      open += 1;
      queue.shift()!();
    }
    if (open >= limit) window.full = true;
  };

  const raise = (): void => {
    limit = Math.min(most, Math.max(limit + 1, Math.floor(limit * step)));
  };

  const judge = (): void => {
    const { calls, ms, tokens, full } = window;
    // A limit that isn't reached is no limit: its times say nothing of a higher one.
    if (calls < Math.max(leastWindow, limit)) return;
    window = { calls: 0, ms: 0, tokens: 0, full: open >= limit };
    if (!full) return;
    if (rest > 0) {
      rest -= 1;
      if (rest === 0) base = undefined;
      return;
    }
    const pace = ms / tokens;
    if (base === undefined || pace / base.pace <= 1 + worthwhile * (limit / base.limit - 1)) {
      if (limit === most) return;
      base = { limit, pace };
      raise();
    } else {
      limit = base.limit;
      step = 1.1;
      rest = restNext;
      restNext = Math.min(64, restNext * 2);
    }
  };

  const cut = (startedAt: number): void => {
    if (startedAt < cutAt) return;
    cutAt = now();
    limit = Math.max(1, Math.floor(limit * 0.6));
    step = 1.1;
    base = undefined;
    rest = 0;
    window = { calls: 0, ms: 0, tokens: 0, full: false };
  };

  const place = (): Place => {
    const startedAt = now();
    let held = true;
    return {
      leave(outcome) {
        if (!held) return;
        held = false;
        open -= 1;
        if (outcome.kind === "pressed") cut(startedAt);
        if (outcome.kind === "done" && startedAt >= cutAt) {
          window.calls += 1;
          window.ms += outcome.ms;
          window.tokens += outcome.tokens + fixedTokens;
          judge();
        }
        admit();
      },
    };
  };

  return {
    limit: () => limit,
    async enter(signal) {
      signal.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const enter = (): void => {
          signal.removeEventListener("abort", leave);
          resolve();
        };
        const leave = (): void => {
          queue.splice(queue.indexOf(enter), 1);
          reject(signal.reason);
        };
        queue.push(enter);
        signal.addEventListener("abort", leave, { once: true });
        admit();
      });
      return place();
    },
  };
}
