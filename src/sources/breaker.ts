/** Holds calls back from a server that is down, but for one now and then that tries whether it still is. */
export interface Breaker {
  /** Waits until the call may be made. Rejects with the signal's reason. */
  pass(signal: AbortSignal): Promise<void>;
  succeeded(): void;
  /** A call to which the server gave nothing. Returns how many milliseconds it has given nothing, while it counts as down. */
  failed(): number | undefined;
}

const longestMs = 30_000;

/**
 * Opens after `threshold` failures in a row. Then one call is let through after `firstMs`, the next after twice as long,
 * up to half a minute; the first that succeeds lets all others through.
 */
export function breaker(threshold: number, firstMs: number, now: () => number = () => performance.now()): Breaker {
  let failures = 0;
  let firstFailureAt = 0;
  let open = false;
  let timer: NodeJS.Timeout | undefined;
  const waiting: (() => void)[] = [];
  let delay = firstMs;

  /** Without it a program whose calls have all ended would wait half a minute for its own end. */
  const stopProbing = (): void => {
    clearTimeout(timer);
    timer = undefined;
  };

  const probeLater = (): void => {
    clearTimeout(timer);
    timer = setTimeout(
      () => {
        timer = undefined;
        waiting.shift()?.();
      },
      delay * (1 - Math.random() / 4),
    );
    delay = Math.min(longestMs, delay * 2);
  };

  return {
    async pass(signal) {
      signal.throwIfAborted();
      if (!open) return;
      await new Promise<void>((resolve, reject) => {
        const enter = (): void => {
          signal.removeEventListener("abort", leave);
          resolve();
        };
        const leave = (): void => {
          const at = waiting.indexOf(enter);
          if (at >= 0) waiting.splice(at, 1);
          if (waiting.length === 0) stopProbing();
          reject(signal.reason);
        };
        waiting.push(enter);
        signal.addEventListener("abort", leave, { once: true });
        if (timer === undefined) probeLater();
      });
    },
    succeeded() {
      failures = 0;
      open = false;
      delay = firstMs;
      stopProbing();
      for (const enter of waiting.splice(0)) enter();
    },
    failed() {
      if (failures === 0) firstFailureAt = now();
      failures += 1;
      if (failures < threshold) return undefined;
      open = true;
      // Who was under way when it opened must not put the next try off.
      if (timer === undefined && waiting.length > 0) probeLater();
      return now() - firstFailureAt;
    },
  };
}
