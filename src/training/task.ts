import type { Decoder, ForwardOptions } from "../models/index.ts";
import { loadStateDict, type Optimiser } from "../nn/index.ts";
import type { Bundle } from "../scoring/index.ts";
import type { Tensor } from "../torch/index.ts";

/** Loss and metrics of a micro-batch, summed so that the sums over a batch, divided by its weight, are the batch's means. */
export interface MicroBatchResult {
  /** A scalar that gradients flow from. */
  readonly loss: Tensor;
  /** Sums, detached. */
  readonly metrics: Readonly<Record<string, Tensor>>;
}

/** How a forward pass of a task is computed. */
export interface TaskOptions extends ForwardOptions {
  /** What of adapters' inputs falls out hangs on this seed and on each row, and not on the rows beside it. */
  readonly dropoutSeed?: number;
}

/** The batch of an optimiser step, before its micro-batches are computed. */
export interface WholeBatch<Item> {
  readonly model: Decoder;
  /** The very lists that `compute` is then given, one after the other. */
  readonly microBatches: readonly (readonly Item[])[];
  readonly progress: number;
  readonly options: TaskOptions;
  readonly signal: AbortSignal | undefined;
}

/** What the loop trains on: items, their size, and their loss. */
export interface TrainingTask<Item> {
  readonly items: readonly Item[];
  /** Items that nothing is learned from: what the training is evaluated on. */
  readonly heldOut?: readonly Item[];
  /** Whether there is anything to learn from the item, where that is found out only when its batch comes; true without. */
  has?(item: Item): boolean;
  /** Tokens an item takes in a micro-batch. */
  tokensOf(item: Item): number;
  /** What the item counts in the batch's mean: 1 for a preference row, its response tokens in supervised tuning. */
  weightOf(item: Item): number;
  /** What to call the item when its loss is at fault. */
  nameOf(item: Item): string;
  /** The bundles that an item is computed as; their operations are counted. */
  bundlesOf(item: Item): readonly Bundle[];
  /** Looks at a batch as a whole, where the loss of a micro-batch depends on the others. False where the signal ended it. */
  prepare?(batch: WholeBatch<Item>): Promise<boolean>;
  /** Means of loss and metrics over held-out items as one batch, where they are no sums over items. Undefined where the signal ended it. */
  evaluate?(batch: WholeBatch<Item>): Promise<Readonly<Record<string, number>> | undefined>;
  compute(model: Decoder, items: readonly Item[], progress: number, options: TaskOptions): MicroBatchResult;
  /** The optimiser has made its step of this number, counted from 1. */
  stepped?(step: number): void;
  /** What a continued training needs besides weights and optimiser: the live tensors, not copies. */
  readonly state?: ReadonlyMap<string, Tensor>;
}

/** An optimiser whose state is the task's besides its own, so that checkpoints keep both. */
export function keepingTask<Item>(optimiser: Optimiser, { state }: TrainingTask<Item>): Optimiser {
  if (state === undefined || state.size === 0) return optimiser;
  const prefix = "task.";
  const own = () => new Map([...state].map(([name, values]) => [`${prefix}${name}`, values]));
  return {
    ...optimiser,
    state: () => new Map([...optimiser.state(), ...own()]),
    load(given) {
      const mine = new Map([...given].filter(([name]) => name.startsWith(prefix)));
      loadStateDict(own(), mine);
      optimiser.load(new Map([...given].filter(([name]) => !mine.has(name))));
    },
  };
}
