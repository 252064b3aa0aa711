/** Waits for a free place; the function it gives back frees the place again. Rejects with the signal's reason. */
export type Limiter = (signal: AbortSignal) => Promise<() => void>;

/** At most `places` at once, in the order of asking. */
export function limiter(places: number): Limiter {
  let free = places;
  const queue: (() => void)[] = [];

  const release = (): void => {
    const next = queue.shift();
    if (next === undefined) free += 1;
    else next();
  };
  const onceReleased = (): (() => void) => {
    let held = true;
    return () => {
      if (held) release();
      held = false;
    };
  };

  return async (signal) => {
    signal.throwIfAborted();
    if (free > 0) {
      free -= 1;
      return onceReleased();
    }
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
    });
    return onceReleased();
  };
}
