import { setMaxListeners } from "node:events";
import type { AnyIterable } from "../schema/index.ts";

/**
 * Runs the tasks with so many workers and yields what they emit, as it comes. `stop` aborts when the consumer ends,
 * when the outer signal does, and when a task fails; then no task is left running before the iteration ends.
 * An abort from outside ends the iteration quietly, a failure is thrown after all that was emitted before it.
 */
export async function* gathered<Task, Result>(
  tasks: AnyIterable<Task>,
  workers: number,
  run: (task: Task, emit: (result: Result) => void, stop: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): AsyncGenerator<Result> {
  if (signal.aborted) return;
  const stop = new AbortController();
  // Each call that waits or is under way listens.
  setMaxListeners(0, stop.signal);
  const results: Result[] = [];
  let failure: { readonly error: unknown } | undefined;
  let running = true;
  let wake = (): void => {};

  const abort = (): void => {
    stop.abort(signal.reason);
    wake();
  };
  const emit = (result: Result): void => {
    results.push(result);
    wake();
  };
  // One iterator for all workers: each takes the next task when it has done its last.
  const queue = Symbol.asyncIterator in tasks ? tasks[Symbol.asyncIterator]() : tasks[Symbol.iterator]();
  const work = async (): Promise<void> => {
    try {
      for (let next = await queue.next(); !next.done && !stop.signal.aborted; next = await queue.next()) {
        await run(next.value, emit, stop.signal);
      }
    } catch (error) {
      if (!stop.signal.aborted) failure = { error };
      stop.abort(error);
    }
  };

  signal.addEventListener("abort", abort, { once: true });
  const all = Promise.all(Array.from({ length: workers }, work)).then(() => {
    running = false;
    wake();
  });
  try {
    while (true) {
      while (results.length > 0) yield results.shift()!;
      if (!running || signal.aborted) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (results.length > 0 || !running || signal.aborted) resolve();
      });
    }
  } finally {
    signal.removeEventListener("abort", abort);
    stop.abort(new Error("the iteration has ended"));
    await all;
    await queue.return?.();
  }
  yield* results;
  if (failure !== undefined && !signal.aborted) throw failure.error;
}
