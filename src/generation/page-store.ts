import type { DecoderConfig } from "../models/index.ts";
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
  // The kernel reads no place that was not written, and memory that nobody touches costs nothing. Elsewhere what is hidden still meets
  // a product with its weight of 0, where NaN would survive.
  const make = device === "cpu" ? ops.empty : ops.zeros;
  return config.layers.map(() => ({
    keys: make([pages, groups, config.headDim, pageTokens], { dtype, device }),
    values: make([pages, groups, pageTokens, depthOf(config)], { dtype, device }),
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
