import { once } from "node:events";
import { SHARE_ENV, Worker } from "node:worker_threads";
import { type EngineEvent, type EngineLoad, type EngineSettings, eventQueue } from "../../generation/index.ts";
import type { LocateOptions } from "../../models/index.ts";
import { type ModelRecipe, packageFile } from "../../schema/index.ts";
import type {
  Command,
  Message,
  ModelFacts,
  RemoteRequest,
  Report,
  Results,
  ThreadMemory,
  ThreadSettings,
} from "./messages.ts";
import { unpackError } from "./packed-error.ts";

/** A model that another thread computes. */
export interface RemoteModel extends ModelFacts {
  /**
   * Events of a request, as `Engine.submit` gives them; they must be read. The request ends when the signal aborts or the
   * reader leaves. What can never be computed is thrown to the reader, as a RequestError.
   */
  submit(request: RemoteRequest, signal: AbortSignal): AsyncIterable<EngineEvent>;
  /** See `embed`. */
  embed(texts: readonly (readonly number[])[], signal: AbortSignal): Promise<readonly Float32Array[]>;
  /** As of its last step. */
  load(): EngineLoad;
  /** Ends what is under way, and frees what is the model's own. */
  free(): Promise<void>;
}

export interface EngineThread {
  /** @throws ModelError, EnvironmentError where it can't be read */
  open(recipe: ModelRecipe, settings: EngineSettings): Promise<RemoteModel>;
  /** The model with a folder of adapters. @throws ModelError where they can't be read or don't fit */
  adapt(base: RemoteModel, folder: string, settings: EngineSettings): Promise<RemoteModel>;
  /** As of its last step. */
  memory(): ThreadMemory;
  /** Ends when the thread does: in an error, unless it was closed. */
  readonly ended: Promise<void>;
  /** Ends what is under way, frees all models, and ends the thread. */
  close(): Promise<void>;
}

interface Waiting {
  readonly event: (event: EngineEvent) => void;
  readonly done: (result: Results[keyof Results]) => void;
  readonly failed: (error: unknown) => void;
}

/** A thread of its own for engines, so that the one that listens to clients is never held up by a step. */
export function startEngineThread({ progress, ...locating }: LocateOptions): EngineThread {
  const workerData: ThreadSettings = { locating };
  // OpenMP's settings are read from the process's own environment.
  const worker = new Worker(threadFile, { workerData, env: SHARE_ENV });
  const calls = new Map<number, Waiting>();
  const loads = new Map<number, EngineLoad>();
  const keys = new WeakMap<RemoteModel, number>();
  let lastId = 0;
  let lastKey = 0;
  let closing = false;
  let failure: Error | undefined;
  let memory: ThreadMemory = { heap: 0, tensors: 0, kept: 0 };

  worker.on("message", (message: Message) => {
    if (message.progress !== undefined) progress?.(message.progress);
    memory = message.memory;
    for (const [model, load] of message.loads) loads.set(model, load);
    for (const report of message.reports) settle(report);
  });
  const ended = new Promise<void>((resolve, reject) => {
    const fail = (error: Error) => {
      failure ??= error;
      for (const { failed } of calls.values()) failed(failure);
      calls.clear();
      reject(failure);
    };
    worker.once("error", fail);
    worker.once("exit", (code) => (closing ? resolve() : fail(new Error(`the engines' thread ended with ${code}`))));
  });
  // Whoever does not listen for its end is told by its calls.
  ended.catch(() => {});

  function settle(report: Report): void {
    const call = calls.get(report.id);
    if (report.kind !== "event") calls.delete(report.id);
    if (report.kind === "event") call?.event(report.event);
    else if (report.kind === "done") call?.done(report.result);
    else call?.failed(unpackError(report.error));
  }

  const send = (command: Command) => worker.postMessage(command);
  const call = (waiting: Waiting, command: (id: number) => Command): number => {
    lastId += 1;
    if (failure === undefined) {
      calls.set(lastId, waiting);
      send(command(lastId));
    } else waiting.failed(failure);
    return lastId;
  };
  const abandon = (id: number) => {
    if (calls.has(id)) send({ kind: "abandon", id });
  };
  const result = <Kind extends keyof Results>(
    command: (id: number) => Extract<Command, { kind: Kind }>,
    signal?: AbortSignal,
  ): Promise<Results[Kind]> =>
    new Promise((resolve, reject) => {
      const stop = () => {
        abandon(id);
        reject(signal!.reason);
      };
      const over = () => signal?.removeEventListener("abort", stop);
      const id = call(
        {
          event: () => {},
          done: (value) => {
            over();
            resolve(value as Results[Kind]);
          },
          failed: (error) => {
            over();
            reject(error);
          },
        },
        command,
      );
      signal?.addEventListener("abort", stop, { once: true });
    });

  function submit(model: number, request: RemoteRequest, signal: AbortSignal): AsyncIterable<EngineEvent> {
    const events = eventQueue<EngineEvent>(() => stop());
    if (signal.aborted) {
      events.end();
      return events;
    }
    const over = () => signal.removeEventListener("abort", stop);
    const id = call(
      {
        event: events.push,
        done: () => {
          over();
          events.end();
        },
        failed: (error) => {
          over();
          events.end(error);
        },
      },
      (id) => ({ kind: "draw", id, model, request }),
    );
    function stop() {
      over();
      abandon(id);
      events.end();
    }
    signal.addEventListener("abort", stop, { once: true });
    return events;
  }

  const remote = (key: number, facts: ModelFacts): RemoteModel => {
    const model: RemoteModel = {
      ...facts,
      submit: (request, signal) => submit(key, request, signal),
      embed: (texts, signal) => result((id) => ({ kind: "embed", id, model: key, texts }), signal),
      load: () => loads.get(key)!,
      async free() {
        await result((id) => ({ kind: "free", id, model: key }));
        loads.delete(key);
      },
    };
    keys.set(model, key);
    return model;
  };

  return {
    async open(recipe, settings) {
      const model = ++lastKey;
      return remote(model, await result((id) => ({ kind: "open", id, model, recipe, settings })));
    },
    async adapt(base, folder, settings) {
      const model = ++lastKey;
      const facts = await result((id) => ({ kind: "adapt", id, model, base: keys.get(base)!, folder, settings }));
      return remote(model, facts);
    },
    memory: () => memory,
    ended,
    async close() {
      if (closing || failure !== undefined) return;
      closing = true;
      worker.postMessage(undefined);
      await once(worker, "exit");
    },
  };
}

/** Node 20 runs no TypeScript: beside the sources, too, the thread is the one that was built. */
const threadFile = packageFile("dist/server/engine/thread.js");
