import { getHeapStatistics } from "node:v8";
import { constraintsOf, Engine, randomStream, textStopper } from "../../generation/index.ts";
import {
  type Decoder,
  disposeAdapters,
  disposeModel,
  type LocateOptions,
  openModel,
  readAdapters,
} from "../../models/index.ts";
import { contentKey } from "../../schema/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { tensorMemory } from "../../torch/index.ts";
import { embed } from "./embed.ts";
import type { Command, Message, ModelFacts, RemoteRequest, Report, Results, ThreadMemory } from "./messages.ts";
import { packError } from "./packed-error.ts";

interface Hosted {
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer;
  readonly label: string;
  readonly identity: string;
  readonly engine: Engine;
  readonly free: () => Promise<void>;
}

type Draw = Extract<Command, { kind: "draw" }>;

/** Holds models and their engines: takes commands, and tells what becomes of them, all of one turn together. */
export function hostEngines(
  locating: Omit<LocateOptions, "progress">,
  send: (message: Message) => void,
): { take(command: Command): void; end(): Promise<void> } {
  const models = new Map<number, Hosted>();
  const underWay = new Map<number, AbortController>();
  let reports: Report[] = [];
  let flushing = false;

  const flush = () => {
    flushing = false;
    const told = reports;
    reports = [];
    const loads = [...models].map(([model, { engine }]) => [model, engine.load()] as const);
    send({ reports: told, loads, memory: memoryOfThread() });
  };
  const flushSoon = () => {
    if (flushing) return;
    flushing = true;
    // After all that waits for the events of a step, and before the next step holds up this thread.
    process.nextTick(flush);
  };
  const report = (one: Report) => {
    reports.push(one);
    flushSoon();
  };

  const modelAt = (key: number): Hosted => {
    const model = models.get(key);
    if (model === undefined) throw new Error(`the engines' thread has no model ${key}`);
    return model;
  };

  const factsOf = (key: number, { label, identity, decoder, engine, tokenizer }: Hosted): ModelFacts => {
    const { vocabularySize, maxPositions } = decoder.config;
    const own = [...models].every(([other, hosted]) => other === key || hosted.tokenizer !== tokenizer);
    return {
      ...{ label, identity, vocabularySize, maxPositions, room: engine.room },
      tokenizer: own ? tokenizer.parts : undefined,
    };
  };

  async function open({ model, recipe, settings }: Extract<Command, { kind: "open" }>): Promise<ModelFacts> {
    const progress = (progress: Message["progress"] & {}) =>
      send({ reports: [], loads: [], memory: memoryOfThread(), progress });
    const loaded = await openModel(recipe, { ...locating, progress });
    const engine = new Engine(loaded.decoder, settings);
    const free = async () => {
      await engine.close();
      disposeModel(loaded);
    };
    const hosted = { ...loaded, engine, free };
    models.set(model, hosted);
    return factsOf(model, hosted);
  }

  function adapt({ model, base, folder, settings }: Extract<Command, { kind: "adapt" }>): ModelFacts {
    const { decoder, tokenizer, label, identity } = modelAt(base);
    const adapters = readAdapters(folder, decoder.config);
    const adapted = { ...decoder, adapters };
    const engine = new Engine(adapted, settings);
    const free = async () => {
      await engine.close();
      disposeAdapters(adapters);
    };
    const hosted = {
      ...{ decoder: adapted, tokenizer, engine, free, label: `${label} with ${folder}` },
      identity: contentKey({ identity, folder, loaded: Date.now() }),
    };
    models.set(model, hosted);
    return factsOf(model, hosted);
  }

  async function free(key: number): Promise<undefined> {
    const model = modelAt(key);
    models.delete(key);
    await model.free();
    return undefined;
  }

  async function draw({ id, model, request }: Draw, signal: AbortSignal): Promise<undefined> {
    const hosted = modelAt(model);
    for await (const event of hosted.engine.submit(engineRequest(hosted, request), signal))
      report({ kind: "event", id, event });
    return undefined;
  }

  async function run(command: Exclude<Command, { kind: "abandon" }>): Promise<Results[keyof Results]> {
    const { signal } = underWay.get(command.id)!;
    switch (command.kind) {
      case "open":
        return open(command);
      case "adapt":
        return adapt(command);
      case "free":
        return free(command.model);
      case "draw":
        return draw(command, signal);
      case "embed":
        return embed(modelAt(command.model).decoder, command.texts, signal);
    }
  }

  return {
    take(command) {
      const { id } = command;
      if (command.kind === "abandon") {
        underWay.get(id)?.abort();
        return flushSoon();
      }
      underWay.set(id, new AbortController());
      run(command)
        .then(
          (result) => report({ kind: "done", id, result }),
          (error: unknown) => report({ kind: "failed", id, error: packError(error) }),
        )
        .finally(() => underWay.delete(id));
    },
    async end() {
      // Adapters before the weights that they share.
      for (const key of [...models.keys()].reverse()) await free(key);
    },
  };
}

function memoryOfThread(): ThreadMemory {
  const { used, kept } = tensorMemory();
  return { heap: getHeapStatistics().used_heap_size, tensors: used, kept };
}

function engineRequest(
  { decoder, tokenizer }: Hosted,
  { seed, choices, stops, shown, form, ...request }: RemoteRequest,
) {
  const { minTokens = 0 } = request;
  return {
    ...request,
    streams: choices.map((choice) => randomStream(seed, choice)),
    ...textStopper(tokenizer, { stops, minTokens, ...(shown === undefined ? {} : { shown }) }),
    ...(form === undefined
      ? {}
      : { constraint: constraintsOf(form, tokenizer, decoder.config.vocabularySize, request.endIds) }),
  };
}
