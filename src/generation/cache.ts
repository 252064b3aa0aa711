import { type Attend, type DecoderConfig, softcap } from "../models/index.ts";
import type { DType, Tensor } from "../torch/index.ts";
import { ops, scope, tensor } from "../torch/index.ts";

/** Low enough that its exponential is 0, and finite. */
const unseen = -1e30;

/** Keys and values of one layer. */
interface LayerCache {
  /** [slots * promptCapacity, groups * headDim] */
  readonly promptKeys: Tensor;
  readonly promptValues: Tensor;
  /** [slots * width * responseCapacity, groups * headDim] */
  readonly keys: Tensor;
  readonly values: Tensor;
}

/**
 * KV cache of `slots` prompts with `width` responses each. A prompt's keys and values are kept once for all of its
 * responses; each response has a row of its own for what it adds.
 */
export interface KvCache {
  readonly slots: number;
  readonly width: number;
  readonly promptCapacity: number;
  readonly responseCapacity: number;
  readonly layers: readonly LayerCache[];
}

export interface CacheSize {
  readonly slots: number;
  readonly width: number;
  readonly promptCapacity: number;
  readonly responseCapacity: number;
}

/** Elements of a cache of this size. */
export function cacheElements(config: DecoderConfig, size: CacheSize): number {
  const perToken = 2 * config.keyValueHeads * config.headDim * config.layers.length;
  return size.slots * (size.promptCapacity + size.width * size.responseCapacity) * perToken;
}

export function createCache(config: DecoderConfig, size: CacheSize, dtype: DType, device: string): KvCache {
  const row = config.keyValueHeads * config.headDim;
  // Zeros, not whatever memory held: a masked key still meets the softmax, and NaN would survive the mask.
  const make = (tokens: number) => ops.zeros([tokens, row], { dtype, device });
  const prompts = size.slots * size.promptCapacity;
  const responses = size.slots * size.width * size.responseCapacity;
  const layers = config.layers.map(() => ({
    promptKeys: make(prompts),
    promptValues: make(prompts),
    keys: make(responses),
    values: make(responses),
  }));
  return { ...size, layers };
}

export function disposeCache(cache: KvCache): void {
  for (const layer of cache.layers) for (const held of Object.values(layer)) held.dispose();
}

const int64 = (values: readonly number[], device: string) =>
  tensor(values, [values.length], "int64").to(device, "int64");

/** Wraps the attention of prompts so that their keys and values are stored: prompt i of the batch goes to slot slots[i]. */
export function storingPrompts(
  cache: KvCache,
  lengths: readonly number[],
  slots: readonly number[],
  attend: Attend,
  device: string,
): Attend {
  const rows = int64(
    lengths.flatMap((length, i) => Array.from({ length }, (_, t) => slots[i]! * cache.promptCapacity + t)),
    device,
  );
  return (layer, q, k, v) => {
    const { promptKeys, promptValues } = cache.layers[layer]!;
    promptKeys.index_copy_(0, rows, k.flatten(1));
    promptValues.index_copy_(0, rows, v.flatten(1));
    return attend(layer, q, k, v);
  };
}

/** One response that takes a step: its slot, its place there, and how many tokens it has in the cache already. */
export interface ActiveRow {
  readonly slot: number;
  readonly place: number;
  readonly written: number;
}

/** Additive mask from a predicate over (row, key), or null where everything is seen. */
function maskOf(
  rows: number,
  keys: number,
  seen: (row: number, key: number) => boolean,
  dtype: DType,
  device: string,
): Tensor | null {
  const values = new Float32Array(rows * keys);
  let hides = false;
  for (let r = 0; r < rows; r++)
    for (let k = 0; k < keys; k++)
      if (!seen(r, k)) {
        values[r * keys + k] = unseen;
        hides = true;
      }
  return hides ? tensor(values, [rows, keys]).to(device, dtype) : null;
}

/**
 * Attention of one decoding step: each active row brings one token, which sees its prompt and its own row. The rows of a
 * prompt ask it together, as one block of queries; the two parts are combined exactly by their log-sum-exp.
 *
 * `promptLengths` holds the length of each slot's prompt, 0 for an empty slot.
 */
export function decodingStep(
  config: DecoderConfig,
  cache: KvCache,
  active: readonly ActiveRow[],
  promptLengths: readonly number[],
  dtype: DType,
  device: string,
): Attend {
  const { slots, width, promptCapacity, responseCapacity } = cache;
  const { keyValueHeads: groups, headDim, attentionScale: scale, attentionSoftcap: cap } = config;
  const repeats = config.heads / groups;
  const grid = active.map(({ slot, place }) => slot * width + place);
  const gridRows = int64(grid, device);
  const cacheRows = int64(
    active.map(({ written }, i) => grid[i]! * responseCapacity + written),
    device,
  );
  const promptReach = Math.max(1, ...active.map(({ slot }) => promptLengths[slot]!));
  const ownReach = Math.max(...active.map(({ written }) => written + 1));
  const written = new Array<number>(slots * width).fill(0);
  for (const [i, row] of active.entries()) written[grid[i]!] = row.written;

  // A row that takes no step still stands in the grid: it sees its first key and is thrown away.
  const ownSeen = (window: number) => (row: number, key: number) =>
    key === 0 ? written[row]! < window : key <= written[row]! && written[row]! - key < window;
  const promptSeen = (window: number) => (row: number, key: number) => {
    const length = promptLengths[Math.floor(row / width)]!;
    return key < Math.max(length, 1) && length + written[row]! - key < window;
  };
  const masks = new Map<number, { own: Tensor | null; prompt: Tensor | null }>();
  const masksOf = (window: number | null) => {
    const reach = window ?? Number.POSITIVE_INFINITY;
    let found = masks.get(reach);
    if (found === undefined) {
      const own = maskOf(slots * width, ownReach, ownSeen(reach), dtype, device);
      const prompt = maskOf(slots * width, promptReach, promptSeen(reach), dtype, device);
      found = {
        own: own?.view([slots * width, 1, 1, ownReach]) ?? null,
        // A prompt's queries are its rows one after another, each `repeats` times.
        prompt:
          prompt
            ?.view([slots, 1, width, 1, promptReach])
            .expand([slots, 1, width, repeats, promptReach])
            .reshape([slots, 1, width * repeats, promptReach]) ?? null,
      };
      masks.set(reach, found);
    }
    return found;
  };
  for (const { window } of config.layers) masksOf(window);

  const view = (x: Tensor, rows: number, capacity: number, reach: number) =>
    x.view([rows, capacity, groups, headDim]).narrow(1, 0, reach).transpose(1, 2);

  return (layer, q, k, v) => {
    const store = cache.layers[layer]!;
    store.keys.index_copy_(0, cacheRows, k.flatten(1));
    store.values.index_copy_(0, cacheRows, v.flatten(1));
    const mask = masksOf(config.layers[layer]!.window);
    // [slots * width, groups, repeats, headDim]; with one prompt's rows side by side for its own keys
    const queries = ops
      .zeros([slots * width, groups * repeats * headDim], { dtype, device })
      .index_copy_(0, gridRows, q.flatten(1));
    const ownQueries = queries.view([slots * width, groups, repeats, headDim]);
    const promptQueries = ownQueries
      .view([slots, width, groups, repeats, headDim])
      .transpose(1, 2)
      .reshape([slots, groups, width * repeats, headDim]);
    const own = attend(
      ownQueries,
      view(store.keys, slots * width, responseCapacity, ownReach),
      view(store.values, slots * width, responseCapacity, ownReach),
      mask.own,
    );
    const shared = attend(
      promptQueries,
      view(store.promptKeys, slots, promptCapacity, promptReach),
      view(store.promptValues, slots, promptCapacity, promptReach),
      mask.prompt,
    );
    const perRow = (x: Tensor, last: number) =>
      x
        .reshape([slots, groups, width, repeats, last])
        .transpose(1, 2)
        .reshape([slots * width, groups, repeats, last]);
    const sharedOut = perRow(shared.out, headDim);
    const share = perRow(shared.lse.unsqueeze(-1), 1).sub(own.lse.unsqueeze(-1)).sigmoid().to(dtype);
    return own.out
      .add(sharedOut.sub(own.out).mul(share))
      .reshape([slots * width, -1])
      .index_select(0, gridRows);
  };

  function attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | null): { out: Tensor; lse: Tensor } {
    // libtorch's fused operator doesn't cap scores.
    if (device === "cpu" && cap === null) {
      const [out, lse] = ops._scaled_dot_product_flash_attention_for_cpu(queries, keys, values, 0, false, {
        attn_mask: mask,
        scale,
      });
      return { out, lse };
    }
    const scores = softcap(queries.matmul(keys.transpose(-1, -2)).to("float32").mul(scale), cap);
    const masked = mask === null ? scores : scores.add(mask);
    return { out: masked.softmax(-1).to(dtype).matmul(values), lse: masked.logsumexp([-1]) };
  }
}

/** A smaller cache with these slots only, in this order; the old one is freed. */
export function compactCache(cache: KvCache, kept: readonly number[], device: string): KvCache {
  const layers = scope(() => {
    const rows = int64(kept, device);
    const shrink = (x: Tensor) => {
      const small = x.view([cache.slots, -1]).index_select(0, rows).view([-1, x.shape[1]!]);
      x.dispose();
      return small;
    };
    return cache.layers.map((layer) => ({
      promptKeys: shrink(layer.promptKeys),
      promptValues: shrink(layer.promptValues),
      keys: shrink(layer.keys),
      values: shrink(layer.values),
    }));
  });
  return { ...cache, slots: kept.length, layers };
}
