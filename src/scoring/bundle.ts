import type { BundleSpan } from "../models/index.ts";
import type { Tensor } from "../torch/index.ts";
import { tensor } from "../torch/index.ts";

/** A prompt x with its responses y_1..y_n, as token ids. */
export interface Bundle {
  readonly prompt: readonly number[];
  readonly responses: readonly (readonly number[])[];
}

/** Bundles laid flat, without padding: x once, then y_1..y_n, bundle after bundle. T tokens, S of them scored. */
export interface PackedBatch {
  readonly spans: readonly BundleSpan[];
  /** int64 [T] */
  readonly ids: Tensor;
  /** int64 [T]; the positions of every y continue those of x. */
  readonly positions: Tensor;
  /** int64 [S]: the row whose hidden state predicts the scored token. A first response token is predicted by the prompt's last. */
  readonly predictors: Tensor;
  /** int64 [S]: the scored tokens, all tokens of all responses. */
  readonly targets: Tensor;
  /** int64 [S]: which response (counted through the batch) a scored token belongs to. */
  readonly owners: Tensor;
  readonly responses: number;
  readonly tokens: number;
}

/** Tokens that a bundle takes in a packed batch. */
export const bundleTokens = (bundle: Bundle): number =>
  bundle.responses.reduce((sum, response) => sum + response.length, bundle.prompt.length);

/** Lays bundles flat. Every prompt and response must have a token. */
export function packBundles(bundles: readonly Bundle[], device = "cpu"): PackedBatch {
  const ids: number[] = [];
  const positions: number[] = [];
  const predictors: number[] = [];
  const targets: number[] = [];
  const owners: number[] = [];
  const spans: BundleSpan[] = [];
  let responses = 0;
  for (const { prompt, responses: ys } of bundles) {
    const start = ids.length;
    const add = (id: number, position: number) => positions.push(position) && ids.push(id);
    for (const [position, id] of prompt.entries()) add(id, position);
    for (const y of ys) {
      for (const [step, id] of y.entries()) {
        predictors.push(step === 0 ? start + prompt.length - 1 : ids.length - 1);
        targets.push(id);
        owners.push(responses);
        add(id, prompt.length + step);
      }
      responses += 1;
    }
    spans.push({ start, promptLength: prompt.length, responseLengths: ys.map((y) => y.length) });
  }
  const int64 = (values: readonly number[]) => tensor(values, [values.length], "int64").to(device, "int64");
  return {
    spans,
    ids: int64(ids),
    positions: int64(positions),
    predictors: int64(predictors),
    targets: int64(targets),
    owners: int64(owners),
    responses,
    tokens: ids.length,
  };
}

/**
 * Splits items into micro-batches of at most `budget` tokens, in order; an item longer than the budget has one of its own.
 */
export function microBatches<Item>(items: readonly Item[], tokensOf: (item: Item) => number, budget: number): Item[][] {
  const batches: Item[][] = [];
  let filled = 0;
  for (const item of items) {
    const tokens = tokensOf(item);
    if (batches.length === 0 || filled + tokens > budget) {
      batches.push([]);
      filled = 0;
    }
    batches.at(-1)!.push(item);
    filled += tokens;
  }
  return batches;
}
