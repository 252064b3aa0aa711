import { type Attend, type DecoderConfig, softcap } from "../models/index.ts";
import type { DType, Tensor } from "../torch/index.ts";
import { ops, tensor } from "../torch/index.ts";
import { pageTokens } from "./pages.ts";

/** Head dimensions of values are filled up to a multiple of it, the most numbers in a vector. */
const depthStep = 16;

/** Keys and values of one layer, by page: keys [pages, groups, headDim, pageTokens], values [pages, groups, pageTokens, depth]. */
interface LayerPages {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** The KV cache: room for keys and values of `pages` pages of tokens in every layer. */
export type PageStore = readonly LayerPages[];

const depthOf = ({ headDim }: DecoderConfig): number => Math.ceil(headDim / depthStep) * depthStep;

/** Numbers that a page takes in all layers. */
export const pageElements = (config: DecoderConfig): number =>
  pageTokens * config.keyValueHeads * (config.headDim + depthOf(config)) * config.layers.length;

export function createPages(config: DecoderConfig, pages: number, dtype: DType, device: string): PageStore {
  const groups = config.keyValueHeads;
  // Zeros: what is hidden still meets the product with its weight of 0, where NaN would survive.
  return config.layers.map(() => ({
    keys: ops.zeros([pages, groups, config.headDim, pageTokens], { dtype, device }),
    values: ops.zeros([pages, groups, pageTokens, depthOf(config)], { dtype, device }),
  }));
}

export function disposePages(store: PageStore): void {
  for (const { keys, values } of store) {
    keys.dispose();
    values.dispose();
  }
}

/** Copies pages to others: [from, to] each. */
export function copyPages(store: PageStore, copies: readonly (readonly [from: number, to: number])[]): void {
  for (const held of store.flatMap(({ keys, values }) => [keys, values])) {
    const int64 = (side: 0 | 1) =>
      tensor(
        copies.map((copy) => copy[side]),
        [copies.length],
        "int64",
      ).to(held.device, "int64");
    held.index_copy_(0, int64(1), held.index_select(0, int64(0)));
  }
}

/** Tokens that one sequence brings to a step: `count` of them in a row of the flat batch, the first at `position` of its text. */
export interface Run {
  readonly count: number;
  readonly position: number;
  /** The pages of its text, these tokens included. */
  readonly pages: readonly number[];
}

/** Attention of a step: the tokens of all runs, one run after another, are stored in their pages and see their own text up to themselves. */
export function pagedAttention(config: DecoderConfig, store: PageStore, runs: readonly Run[]): Attend {
  const { keyValueHeads: groups, headDim, attentionScale: scale, attentionSoftcap: cap } = config;
  const repeats = config.heads / groups;
  const device = store[0]!.keys.device;
  const int64 = (values: readonly number[]) => tensor(values, [values.length], "int64").to(device, "int64");
  const positions = runs.flatMap(({ position, count }) => Array.from({ length: count }, (_, k) => position + k));
  const pageOfToken = int64(
    runs.flatMap(({ pages, position, count }) =>
      Array.from({ length: count }, (_, k) => pages[Math.floor((position + k) / pageTokens)]!),
    ),
  );
  const placeInPage = int64(positions.map((position) => position % pageTokens));

  // Runs of equally many tokens are computed together.
  const starts: number[] = [];
  for (const [k] of runs.entries()) starts.push(k === 0 ? 0 : starts[k - 1]! + runs[k - 1]!.count);
  const alike = new Map<number, number[]>();
  for (const [k, { count }] of runs.entries()) alike.set(count, [...(alike.get(count) ?? []), k]);
  const batches = [...alike].map(([count, members]) => {
    const reach = Math.max(...members.map((k) => Math.ceil((runs[k]!.position + count) / pageTokens)));
    const queries = members.flatMap((k) => Array.from({ length: count }, (_, t) => starts[k]! + t));
    return {
      count,
      members: members.length,
      reach,
      queries: int64(queries),
      table: int64(members.flatMap((k) => Array.from({ length: reach }, (_, p) => runs[k]!.pages[p] ?? 0))),
      // [members, 1, count, 1, 1]
      at: int64(queries.map((token) => positions[token]!)).view([members.length, 1, count, 1, 1]),
    };
  });

  return (layer, q, k, v) => {
    const { keys, values } = store[layer]!;
    const { window } = config.layers[layer]!;
    keys.permute([0, 3, 1, 2]).index_put_([pageOfToken, placeInPage], k);
    values.narrow(3, 0, headDim).permute([0, 2, 1, 3]).index_put_([pageOfToken, placeInPage], v);
    const out = ops.empty([q.shape[0]!, groups * repeats * headDim], { dtype: q.dtype, device });
    for (const { count, members, reach, queries, table, at } of batches) {
      const length = reach * pageTokens;
      const asked = q
        .index_select(0, queries)
        .view([members, count, groups, repeats, headDim])
        .transpose(1, 2)
        .reshape([members, groups, count * repeats, headDim]);
      const seenKeys = keys
        .index_select(0, table)
        .view([members, reach, groups, headDim, pageTokens])
        .permute([0, 2, 3, 1, 4])
        .reshape([members, groups, headDim, length]);
      const seenValues = values
        .index_select(0, table)
        .view([members, reach, groups, pageTokens, -1])
        .transpose(1, 2)
        .reshape([members, groups, length, values.shape[3]!])
        .narrow(3, 0, headDim);
      const key = ops.arange(length, { dtype: "int64", device });
      const distance = at.sub(key);
      const hidden = window === null ? distance.lt(0) : distance.lt(0).logical_or(distance.ge(window));
      const scores = softcap(asked.matmul(seenKeys).to("float32").mul(scale), cap).view([
        members,
        groups,
        count,
        repeats,
        length,
      ]);
      const attended = scores
        .masked_fill(hidden, Number.NEGATIVE_INFINITY)
        .softmax(-1)
        .to(q.dtype)
        .view([members, groups, count * repeats, length])
        .matmul(seenValues)
        .view([members, groups, count, repeats, headDim])
        .transpose(1, 2)
        .reshape([members * count, -1]);
      out.index_copy_(0, queries, attended);
    }
    return out;
  };
}
