import { Worker } from "node:worker_threads";
import { packageFile } from "../../schema/index.ts";
import type { Limits } from "./launch.ts";
import type { Sandbox } from "./probe.ts";
import type { Ending, Program } from "./run.ts";
import type { Notice, Order } from "./thread.ts";

/** Runs programs in sandboxes, from a thread of its own. */
export interface Runner {
  /** As many at a time as are called. Rejects with the signal's reason when it aborts; the program has ended then. */
  run(program: Program, limits: Limits, signal: AbortSignal): Promise<Ending>;
  /** Ends whatever still runs. */
  close(): Promise<void>;
}

interface Waiting {
  readonly done: (ending: Ending) => void;
  readonly failed: (error: unknown) => void;
}

export function startRunner({ tools, filter }: Sandbox): Runner {
  const worker = new Worker(threadFile, { workerData: { tools, filter } });
  const waiting = new Map<number, Waiting>();
  let last = 0;
  let ended: Error | undefined;

  const fail = (error: Error): void => {
    ended ??= error;
    for (const { failed } of waiting.values()) failed(ended);
    waiting.clear();
  };
  worker.on("message", (notice: Notice) => {
    const call = waiting.get(notice.id);
    waiting.delete(notice.id);
    if ("ending" in notice) call?.done(notice.ending);
    else call?.failed(new Error(`a sandbox could not be started: ${notice.failure}`));
  });
  worker.once("error", fail);
  worker.once("exit", () => fail(new Error("the sandboxes' thread has ended")));

  return {
    run(program, limits, signal) {
      signal.throwIfAborted();
      if (ended !== undefined) return Promise.reject(ended);
      last += 1;
      const id = last;
      const send = (order: Order): void => worker.postMessage(order);
      return new Promise<Ending>((resolve, reject) => {
        const abandon = (): void => send({ id, abandon: true });
        const settled = (work: () => void): void => {
          signal.removeEventListener("abort", abandon);
          work();
        };
        signal.addEventListener("abort", abandon, { once: true });
        waiting.set(id, {
          done: (ending) => settled(() => resolve(ending)),
          failed: (error) => settled(() => reject(signal.aborted ? signal.reason : error)),
        });
        send({ id, program, limits });
      });
    },
    async close() {
      // Sandboxes die with the thread that started them.
      await worker.terminate();
    },
  };
}

/** Node 20 runs no TypeScript: beside the sources, too, the thread is the one that was built. */
const threadFile = packageFile("dist/rewards/sandbox/thread.js");
