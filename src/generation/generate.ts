import { setMaxListeners } from "node:events";
import type { Decoder } from "../models/index.ts";
import type { Finish } from "../schema/index.ts";
import { Engine, type EngineRequest, type EngineSettings } from "./engine.ts";
import { eventQueue } from "./event-queue.ts";

export interface Generated {
  /** Which request, and which of its streams. */
  readonly request: number;
  readonly response: number;
  readonly ids: readonly number[];
  readonly finish: Finish;
}

/** Submits every request to the engine and yields each response as it ends. Stops between two steps when `signal` aborts. */
export async function* responsesOf(
  engine: Engine,
  requests: readonly EngineRequest[],
  signal?: AbortSignal,
): AsyncGenerator<Generated> {
  const abandoned = new AbortController();
  const ending = signal === undefined ? abandoned.signal : AbortSignal.any([signal, abandoned.signal]);
  // Each request listens.
  setMaxListeners(0, ending);
  const finished = eventQueue<Generated>(() => abandoned.abort());
  const reading = requests.map(async (asked, request) => {
    const ids: number[][] = asked.streams.map(() => []);
    for await (const event of engine.submit(asked, ending)) {
      if (event.kind === "token") ids[event.response]!.push(event.id);
      if (event.kind !== "end") continue;
      finished.push({ request, response: event.response, ids: ids[event.response]!, finish: event.finish });
    }
  });
  Promise.all(reading).then(
    () => finished.end(),
    (error: unknown) => {
      abandoned.abort();
      finished.end(error);
    },
  );
  yield* finished;
}

/** The same by an engine of its own. */
export async function* generate(
  model: Decoder,
  requests: readonly EngineRequest[],
  settings: EngineSettings = {},
  signal?: AbortSignal,
): AsyncGenerator<Generated> {
  if (requests.length === 0) return;
  const engine = new Engine(model, settings);
  try {
    yield* responsesOf(engine, requests, signal);
  } finally {
    await engine.close();
  }
}
