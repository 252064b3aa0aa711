import { setImmediate as nextTurn } from "node:timers/promises";
import type { Decoder } from "../models/index.ts";
import { clipGradNorm, type Parameters } from "../nn/index.ts";
import { microBatches } from "../scoring/index.ts";
import { backward, scope, span } from "../torch/index.ts";
import type { TaskOptions, TrainingTask } from "./task.ts";

/** Means of a batch's loss and metrics, the gradient being in the weights; or why there is none. */
export type BatchResult =
  | { readonly kind: "done"; readonly figures: Readonly<Record<string, number>>; readonly gradNorm: number }
  | { readonly kind: "aborted" }
  | { readonly kind: "not finite"; readonly what: string };

export interface BatchOptions {
  /** What is trained. */
  readonly trained: Parameters;
  readonly microBatchTokens: number;
  readonly maxGradNorm: number;
  /** Of the steps of the training, the share that is done. */
  readonly progress: number;
  readonly forward: TaskOptions;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The clipped gradient of the mean loss of a batch, micro-batch by micro-batch: each loss is divided by the weight of the
 * whole batch, so that micro-batches bound the memory and never the result.
 */
export async function batchGradient<Item>(
  model: Decoder,
  task: TrainingTask<Item>,
  items: readonly Item[],
  { trained, microBatchTokens, maxGradNorm, progress, forward, signal }: BatchOptions,
): Promise<BatchResult> {
  const total = items.reduce((sum, item) => sum + task.weightOf(item), 0);
  const sums: Record<string, number> = { loss: 0 };
  const micros = microBatches(items, task.tokensOf, microBatchTokens);
  const whole = { model, microBatches: micros, progress, options: forward, signal };
  if (task.prepare !== undefined && !(await task.prepare(whole))) return { kind: "aborted" };
  for (const micro of micros) {
    if (signal?.aborted) return { kind: "aborted" };
    const figures = scope(() => {
      const { loss, metrics } = span("forward", () => task.compute(model, micro, progress, forward));
      const mean = loss.div(total);
      const value = mean.item() as number;
      if (!Number.isFinite(value)) return { loss: value };
      span("backward", () => backward(mean));
      return {
        loss: value,
        ...Object.fromEntries(Object.entries(metrics).map(([name, sum]) => [name, (sum.item() as number) / total])),
      };
    });
    // Finalizers of freed tensors run only between turns; without this, memory grows with every micro-batch.
    await nextTurn();
    if (!Number.isFinite(figures.loss)) return { kind: "not finite", what: `loss is ${figures.loss}` };
    for (const [name, value] of Object.entries(figures)) sums[name] = (sums[name] ?? 0) + value;
  }
  const gradNorm = clipGradNorm(trained.values(), maxGradNorm);
  if (!Number.isFinite(gradNorm)) return { kind: "not finite", what: `gradient's norm is ${gradNorm}` };
  return { kind: "done", figures: sums, gradNorm };
}

/**
 * The items of a batch whose own loss or gradient is not finite, each computed alone; all of them where it is only their
 * sum. The weights' gradients are those of nothing afterwards: zero them.
 */
export async function culprits<Item>(
  model: Decoder,
  task: TrainingTask<Item>,
  items: readonly Item[],
  options: BatchOptions,
): Promise<readonly Item[]> {
  const found: Item[] = [];
  for (const item of items) {
    for (const weight of options.trained.values()) weight.grad = null;
    const { kind } = await batchGradient(model, task, [item], options);
    if (kind === "aborted") return items;
    if (kind === "not finite") found.push(item);
  }
  return found.length === 0 ? items : found;
}
