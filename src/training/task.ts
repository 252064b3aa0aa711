import type { Decoder, ForwardOptions } from "../models/index.ts";
import type { Tensor } from "../torch/index.ts";

/** Loss and metrics of a micro-batch, summed so that the sums over a batch, divided by its weight, are the batch's means. */
export interface MicroBatchResult {
  /** A scalar that gradients flow from. */
  readonly loss: Tensor;
  /** Sums, detached. */
  readonly metrics: Readonly<Record<string, Tensor>>;
}

/** What the loop trains on: items, their size, and their loss. */
export interface TrainingTask<Item> {
  readonly items: readonly Item[];
  /** Whether there is anything to learn from the item, where that is found out only when its batch comes; true without. */
  has?(item: Item): boolean;
  /** Tokens an item takes in a micro-batch. */
  tokensOf(item: Item): number;
  /** What the item counts in the batch's mean: 1 for a preference row, its response tokens in supervised tuning. */
  weightOf(item: Item): number;
  /** What to call the item when its loss is at fault. */
  nameOf(item: Item): string;
  compute(model: Decoder, items: readonly Item[], progress: number, options: ForwardOptions): MicroBatchResult;
}
