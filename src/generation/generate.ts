import { setImmediate as nextTurn } from "node:timers/promises";
import type { Decoder } from "../models/index.ts";
import { bundleAttention, computeType, hiddenStates, nextLogits } from "../models/index.ts";
import type { Finish } from "../schema/index.ts";
import { bytesOf, noGrad, scope, type Tensor, tensor } from "../torch/index.ts";
import { cacheElements, compactCache, createCache, decodingStep, disposeCache, storingPrompts } from "./cache.ts";
import type { RandomStream } from "./random-stream.ts";
import type { SamplerSettings } from "./sampler.ts";
import { sampleTokens } from "./sampler.ts";

/** One prompt and the responses wanted for it, each with its own random stream. */
export interface GenerationRequest {
  readonly prompt: readonly number[];
  readonly streams: readonly RandomStream[];
  /** Most tokens a response may have. */
  readonly maxTokens: number;
}

export interface GenerationSettings extends SamplerSettings {
  /** Tokens that end a response; they are not part of it. */
  readonly endIds: ReadonlySet<number>;
  /** Made for each response and asked after each token: true ends the response there. */
  readonly stopper?: () => (id: number) => boolean;
  /** Most memory for keys and values. */
  readonly cacheBytes?: number;
  /** Most responses that advance together. */
  readonly rows?: number;
}

export interface Generated {
  /** Which request, and which of its streams. */
  readonly request: number;
  readonly response: number;
  readonly ids: readonly number[];
  readonly finish: Finish;
}

interface Row {
  readonly request: number;
  readonly response: number;
  slot: number;
  readonly place: number;
  readonly ids: number[];
  readonly stops: (id: number) => boolean;
}

const defaultCacheBytes = 1.5 * 2 ** 30;
const defaultRows = 192;
/** Prompt tokens computed at a time. */
const prefillTokens = 4096;

/**
 * Samples every response of every request and yields each as it ends. Responses of one prompt share its keys and values;
 * an ended response takes no part in later steps, and a prompt all of whose responses have ended makes room for the next.
 * Stops between two steps when `signal` aborts.
 */
export async function* generate(
  model: Decoder,
  requests: readonly GenerationRequest[],
  settings: GenerationSettings,
  signal?: AbortSignal,
): AsyncGenerator<Generated> {
  if (requests.length === 0) return;
  const dtype = computeType(model, {});
  const device = model.parameters.get("model.embed_tokens.weight")!.device;
  const size = {
    width: Math.max(...requests.map(({ streams }) => streams.length)),
    promptCapacity: Math.max(...requests.map(({ prompt }) => prompt.length)),
    responseCapacity: Math.max(...requests.map(({ maxTokens }) => maxTokens)),
  };
  const slotBytes = cacheElements(model.config, { ...size, slots: 1 }) * bytesOf(dtype);
  const fitting = Math.floor((settings.cacheBytes ?? defaultCacheBytes) / slotBytes);
  const wanted = Math.ceil((settings.rows ?? defaultRows) / size.width);
  const slots = Math.max(1, Math.min(fitting, wanted, requests.length));
  let cache = createCache(model.config, { ...size, slots }, dtype, device);
  let promptLengths = new Array<number>(slots).fill(0);
  let active: Row[] = [];
  let next = 0;

  /** Adds each row's token; gives those that have ended. */
  const advance = (rows: readonly Row[], tokens: readonly number[]): Generated[] => {
    const ended: Generated[] = [];
    for (const [i, row] of rows.entries()) {
      const { request, response, ids } = row;
      const token = tokens[i]!;
      if (settings.endIds.has(token)) {
        ended.push({ request, response, ids, finish: "stop" });
        continue;
      }
      ids.push(token);
      if (row.stops(token)) ended.push({ request, response, ids, finish: "stop" });
      else if (ids.length >= requests[request]!.maxTokens) ended.push({ request, response, ids, finish: "length" });
      else active.push(row);
    }
    return ended;
  };

  try {
    while (next < requests.length || active.length > 0) {
      if (signal?.aborted) return;
      const free = promptLengths.flatMap((length, slot) => (length === 0 ? [slot] : []));
      // Prompts enter in groups: a forward pass over many costs less than one over each.
      if (
        next < requests.length &&
        free.length > 0 &&
        (active.length === 0 || free.length * 4 >= cache.slots || requests.length - next <= free.length)
      ) {
        const taken: { request: number; slot: number }[] = [];
        let tokens = 0;
        while (
          next < requests.length &&
          taken.length < free.length &&
          (tokens === 0 || tokens + requests[next]!.prompt.length <= prefillTokens)
        ) {
          tokens += requests[next]!.prompt.length;
          taken.push({ request: next++, slot: free[taken.length]! });
        }
        for (const { request, slot } of taken) promptLengths[slot] = requests[request]!.prompt.length;
        const rows = taken.flatMap(({ request, slot }) =>
          requests[request]!.streams.map(
            (_, response): Row => ({
              request,
              response,
              slot,
              place: response,
              ids: [],
              stops: settings.stopper?.() ?? (() => false),
            }),
          ),
        );
        const firsts = prefill(taken, rows);
        yield* advance(rows, firsts);
      } else {
        const rows = active;
        active = [];
        yield* advance(rows, decode(rows));
      }
      const live = new Set(active.map(({ slot }) => slot));
      for (const slot of promptLengths.keys()) if (!live.has(slot)) promptLengths[slot] = 0;
      if (next === requests.length && live.size > 0 && live.size * 2 <= cache.slots)
        shrink([...live].sort((a, b) => a - b));
      await nextTurn();
    }
  } finally {
    disposeCache(cache);
  }

  function shrink(kept: readonly number[]): void {
    cache = noGrad(() => compactCache(cache, kept, device));
    promptLengths = kept.map((slot) => promptLengths[slot]!);
    const moved = new Map(kept.map((slot, at) => [slot, at]));
    for (const row of active) row.slot = moved.get(row.slot)!;
  }

  /** The next token of each row from the hidden state that predicts it. */
  function choose(hidden: Tensor, rows: readonly Row[]): number[] {
    return sampleTokens(
      nextLogits(model, hidden),
      settings,
      rows.map((row) => requests[row.request]!.streams[row.response]!.uniform(row.ids.length)),
    );
  }

  function prefill(taken: readonly { request: number; slot: number }[], rows: readonly Row[]): number[] {
    return noGrad(() =>
      scope(() => {
        const prompts = taken.map(({ request }) => requests[request]!.prompt);
        const lengths = prompts.map((prompt) => prompt.length);
        const ends: number[] = [];
        for (const length of lengths) ends.push((ends.at(-1) ?? -1) + length);
        const spans = lengths.map((promptLength, i) => ({
          start: ends[i]! + 1 - promptLength,
          promptLength,
          responseLengths: [],
        }));
        const attend = bundleAttention(model.config, spans);
        const storing = storingPrompts(
          cache,
          lengths,
          taken.map(({ slot }) => slot),
          attend,
          device,
        );
        const hidden = hiddenStates(
          model,
          int64(prompts.flat()),
          int64(lengths.flatMap((length) => [...Array(length).keys()])),
          storing,
        );
        // Every response of a prompt starts from the prompt's last token.
        const starts = taken.flatMap(({ request }, i) => requests[request]!.streams.map(() => ends[i]!));
        return choose(hidden.index_select(0, int64(starts)), rows);
      }),
    );
  }

  function decode(rows: readonly Row[]): number[] {
    return noGrad(() =>
      scope(() => {
        const steps = rows.map(({ slot, place, ids }) => ({ slot, place, written: ids.length - 1 }));
        const attend = decodingStep(model.config, cache, steps, promptLengths, dtype, device);
        const positions = rows.map((row) => requests[row.request]!.prompt.length + row.ids.length - 1);
        return choose(hiddenStates(model, int64(rows.map(({ ids }) => ids.at(-1)!)), int64(positions), attend), rows);
      }),
    );
  }

  function int64(values: readonly number[]): Tensor {
    return tensor(values, [values.length], "int64").to(device, "int64");
  }
}
