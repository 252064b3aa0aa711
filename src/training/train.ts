import type { Decoder } from "../models/index.ts";
import { adamW, checkpointed, clipGradNorm, schedule, warmupStepsOf } from "../nn/index.ts";
import { contentKey, type OptimisationRecipe, TrainingError } from "../schema/index.ts";
import { microBatches } from "../scoring/index.ts";
import { backward, type DType, scope } from "../torch/index.ts";
import { loadCheckpoint, saveCheckpoint } from "./checkpoints.ts";
import { openMetrics, type StepMetrics } from "./metrics.ts";
import { batchesOf, shuffled } from "./order.ts";
import type { TrainingTask } from "./task.ts";

export interface TrainingOptions {
  readonly recipe: OptimisationRecipe;
  /** Decides the order of the items. */
  readonly seed: number;
  /** "given" takes the items as they stand in every epoch. */
  readonly order?: "shuffled" | "given";
  /** Compute type; the weights themselves are float32. */
  readonly dtype: DType;
  /** Digest of the initial weights and the items: what a checkpoint must agree with. */
  readonly inputs: string;
  /** Where checkpoints go; none are written without it. */
  readonly checkpoints?: string;
  /** Where the metrics go, a JSONL line a step. */
  readonly metrics?: string;
  readonly signal?: AbortSignal;
  readonly onStep?: (metrics: StepMetrics, totalSteps: number) => void;
}

export interface TrainingSummary {
  readonly steps: number;
  readonly totalSteps: number;
  /** False when the signal ended it; the checkpoint says where to go on. */
  readonly finished: boolean;
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/**
 * The one training loop. Each optimiser step takes the batch in micro-batches of at most `micro_batch_tokens` tokens and
 * divides the loss by the weight of the whole batch, so that micro-batching bounds the memory and never the result.
 * Goes on from the latest checkpoint with the same inputs; on an abort it writes one and returns.
 *
 * The model's weights must be float32 and on one device; they are changed in place.
 *
 * @throws TrainingError when loss or gradient is not finite, naming the rows.
 */
export async function train<Item>(
  model: Decoder,
  task: TrainingTask<Item>,
  options: TrainingOptions,
): Promise<TrainingSummary> {
  const { recipe } = options;
  if (task.items.length === 0) throw new TrainingError("there is nothing to train on");
  for (const [name, { dtype }] of model.parameters)
    if (dtype !== "float32" && dtype !== "float64")
      throw new TrainingError(`the weight ${name} is ${dtype}; small updates would be lost in its rounding`, {
        hint: "Load the model in fp32; the compute type of the training may still be bf16.",
      });
  const batches = batchesOf(task.items.length, recipe.batch_size, recipe.epochs, (epoch) =>
    options.order === "given" ? [...task.items.keys()] : shuffled(task.items.length, options.seed, epoch),
  );
  const totalSteps = batches.length;
  const factorAt = schedule(recipe.schedule, {
    warmupSteps: warmupStepsOf(recipe.warmup_ratio, totalSteps),
    totalSteps,
  });
  const optimiser = adamW(model.parameters, {
    beta1: recipe.adam_beta1,
    beta2: recipe.adam_beta2,
    epsilon: recipe.adam_epsilon,
    weightDecay: recipe.weight_decay,
  });
  const { checkpoint_every_steps: every, micro_batch_tokens: _, ...decisive } = recipe;
  const inputs = contentKey({
    inputs: options.inputs,
    decisive,
    seed: options.seed,
    order: options.order,
    dtype: options.dtype,
  });
  const start =
    options.checkpoints === undefined ? 0 : loadCheckpoint(options.checkpoints, inputs, model.parameters, optimiser);
  const metricsFile = options.metrics === undefined ? undefined : openMetrics(options.metrics, start);
  let saved = start;
  const save = (step: number) => {
    if (options.checkpoints === undefined || step === saved) return;
    saveCheckpoint(options.checkpoints, step, inputs, model.parameters, optimiser);
    saved = step;
  };
  for (const weight of model.parameters.values()) weight.requiresGrad = true;
  try {
    for (let step = start; step < totalSteps; step++) {
      const began = performance.now();
      const items = batches[step]!.map((index) => task.items[index]!).filter((item) => task.has?.(item) ?? true);
      if (items.length === 0) continue;
      const sums = await accumulate(model, task, items, step / totalSteps, options);
      if (sums === undefined) {
        save(step);
        return { steps: step, totalSteps, finished: false };
      }
      const gradNorm = clipGradNorm(model.parameters.values(), recipe.max_grad_norm);
      if (!Number.isFinite(gradNorm))
        throw new TrainingError(
          `the gradient of optimiser step ${step + 1} is not finite (norm ${gradNorm}); its rows: ${items.map(task.nameOf).join(", ")}`,
          {
            hint: "Lower the learning rate or look at these rows. The latest checkpoint is kept.",
          },
        );
      const factor = factorAt(step);
      optimiser.step(recipe.learning_rate * factor);
      optimiser.zeroGrad();
      const seconds = (performance.now() - began) / 1000;
      const tokens = items.reduce((sum, item) => sum + task.tokensOf(item), 0);
      const metrics: StepMetrics = {
        step: step + 1,
        epoch: Math.min(recipe.epochs, ((step + 1) * recipe.batch_size) / task.items.length),
        ...sums,
        grad_norm: gradNorm,
        learning_rate: recipe.learning_rate * factor,
        tokens,
        seconds,
        tokens_per_second: tokens / seconds,
        peak_memory_bytes: process.resourceUsage().maxRSS * 1024,
      };
      metricsFile?.write(metrics);
      options.onStep?.(metrics, totalSteps);
      if ((step + 1) % every === 0 && step + 1 < totalSteps) save(step + 1);
    }
    return { steps: totalSteps, totalSteps, finished: true };
  } finally {
    optimiser.zeroGrad();
    for (const weight of model.parameters.values()) weight.requiresGrad = false;
    for (const held of optimiser.state().values()) held.dispose();
  }
}

/** Gradients of one batch, and the means of its loss and metrics; undefined when the signal aborted it. */
async function accumulate<Item>(
  model: Decoder,
  task: TrainingTask<Item>,
  items: readonly Item[],
  progress: number,
  options: TrainingOptions,
): Promise<Record<string, number> | undefined> {
  const total = items.reduce((sum, item) => sum + task.weightOf(item), 0);
  const sums: Record<string, number> = { loss: 0 };
  const forward = {
    dtype: options.dtype,
    ...(options.recipe.activation_checkpointing ? { wrapLayer: checkpointed } : {}),
  };
  for (const micro of microBatches(items, task.tokensOf, options.recipe.micro_batch_tokens)) {
    if (options.signal?.aborted) return undefined;
    const figures = scope(() => {
      const { loss, metrics } = task.compute(model, micro, progress, forward);
      const mean = loss.div(total);
      const value = mean.item() as number;
      if (!Number.isFinite(value))
        throw new TrainingError(
          `the loss is ${value} in a micro-batch of these rows: ${micro.map(task.nameOf).join(", ")}`,
          {
            hint: "Lower the learning rate or look at these rows. The latest checkpoint is kept.",
          },
        );
      backward(mean);
      return {
        loss: value,
        ...Object.fromEntries(Object.entries(metrics).map(([name, sum]) => [name, (sum.item() as number) / total])),
      };
    });
    for (const [name, value] of Object.entries(figures)) sums[name] = (sums[name] ?? 0) + value;
    // Finalizers of freed tensors run only between turns; without this, memory grows with every micro-batch.
    await nextTurn();
  }
  return sums;
}
