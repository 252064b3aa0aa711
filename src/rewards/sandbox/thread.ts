import { parentPort, workerData } from "node:worker_threads";
import { type Ending, type Program, type Rules, runProgram } from "./run.ts";

/** To the thread: run this program, or end the one of this number. */
export type Order =
  | { readonly id: number; readonly program: Program; readonly limits: Rules["limits"] }
  | { readonly id: number; readonly abandon: true };

/** From the thread. */
export type Notice =
  | { readonly id: number; readonly ending: Ending }
  | { readonly id: number; readonly failure: string };

/** The thread that runs programs: limits of time and memory hold while other threads compute. */
const port = parentPort;
if (port === null) throw new Error("this is the sandboxes' thread, and no program of its own");
const rules = workerData as Omit<Rules, "limits">;
const running = new Map<number, AbortController>();

port.on("message", async (order: Order) => {
  const { id } = order;
  if ("abandon" in order) return running.get(id)?.abort();
  const stop = new AbortController();
  running.set(id, stop);
  try {
    const ending = await runProgram(order.program, { ...rules, limits: order.limits }, id, stop.signal);
    port.postMessage({ id, ending } satisfies Notice);
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    port.postMessage({ id, failure } satisfies Notice);
  } finally {
    running.delete(id);
  }
});
