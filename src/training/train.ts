import { type Decoder, type ForwardOptions, usingSums } from "../models/index.ts";
import { checkpointed, dropBy, type Parameters } from "../nn/index.ts";
import { contentKey, type OptimisationRecipe, TrainingError } from "../schema/index.ts";
import { type DType, scope, span } from "../torch/index.ts";
import { checkpointKeeper } from "./checkpoint-keeper.ts";
import type { TrainingState } from "./checkpoints.ts";
import { decisiveFields } from "./decisive.ts";
import { isStale, lengthGrowth, metricOf } from "./early-stopping.ts";
import { type BatchOptions, batchGradient, culprits } from "./gradients.ts";
import { evaluateHeldOut } from "./held-out.ts";
import { lossWatch } from "./loss-watch.ts";
import { holdsSums } from "./memory-need.ts";
import { openMetrics, type StepMetrics, stepMeter } from "./metrics.ts";
import { optimiserOf, scheduleOf } from "./optimiser.ts";
import { type ItemOrder, plannedBatches } from "./order.ts";
import { stepProfiler } from "./profile.ts";
import { keepingTask, type TrainingTask } from "./task.ts";
import { drops, trainedWeights } from "./trainable.ts";

/** A recipe in which the tokens of a micro-batch are a number: see `microBatchTokens`. */
export type ResolvedOptimisation = OptimisationRecipe & { readonly micro_batch_tokens: number };

export interface TrainingOptions {
  readonly recipe: ResolvedOptimisation;
  /** Decides the order of the items. */
  readonly seed: number;
  /** "shuffled" unless given. */
  readonly order?: ItemOrder;
  /** Compute type; the weights themselves are float32. */
  readonly dtype: DType;
  /** Digest of the initial weights and the items: what a checkpoint must agree with. */
  readonly inputs: string;
  /** Where checkpoints go; none are written without it. */
  readonly checkpoints?: string;
  /** Where the metrics go, a JSONL line a step. */
  readonly metrics?: string;
  /** Where a Chrome trace of two steps goes; where their time went is given to `onNotice` as a table. None is written without it. */
  readonly profile?: string;
  readonly signal?: AbortSignal;
  readonly onStep?: (metrics: StepMetrics, totalSteps: number) => void;
  /** Told the figures of each evaluation, `eval/...`, and after which step it was. */
  readonly onEvaluation?: (evaluation: StepMetrics, totalSteps: number) => void;
  /**
   * Further figures of an evaluation, by what the model as it is now answers: its mean `reward`, say, and its mean
   * `response_tokens`. Must give the same for the same weights, or a training that goes on may end otherwise.
   */
  readonly sampled?: () => Promise<Readonly<Record<string, number>>>;
  /** Told what a person should read: steps that were skipped, with their rows, spikes of the loss, an early end. */
  readonly onNotice?: (line: string) => void;
}

export interface TrainingSummary {
  /** Optimiser steps done, those that were skipped included. */
  readonly steps: number;
  readonly totalSteps: number;
  /** Steps that changed nothing, because their loss or gradient was not finite. */
  readonly skipped: number;
  /** False when the signal ended it; the checkpoint says where to go on. */
  readonly finished: boolean;
  /** The step whose weights the model has in the end, where early stopping chose them. */
  readonly best?: number;
  /** The items of each step that was done, by their numbers; those that the task then had not are among them. */
  readonly batches: readonly (readonly number[])[];
}

/** What the checkpoints of a training bear: it goes on from none that bears another digest. */
export const checkpointDigest = ({
  recipe,
  inputs,
  seed,
  order,
  dtype,
}: Pick<TrainingOptions, "inputs" | "seed" | "order" | "dtype"> & { readonly recipe: OptimisationRecipe }): string =>
  contentKey({ inputs, decisive: decisiveFields(recipe), seed, order, dtype });

/**
 * The one training loop. Each optimiser step takes the batch in micro-batches of at most `micro_batch_tokens` tokens and
 * divides the loss by the weight of the whole batch, so that micro-batching bounds the memory and never the result, dropouts
 * included. Goes on from the latest checkpoint with the same inputs; on an abort it writes one and returns.
 *
 * A step whose loss or gradient is not finite changes nothing and is told with its rows. Where the task has items held out,
 * they are evaluated on at step 0, every `evaluate_every_steps` and at the end; with `early_stopping` the model has the
 * weights of the best evaluation in the end, whether it was stopped or not. Where the recipe averages the weights, the averages are
 * what is evaluated and what the model has in the end.
 *
 * Trains the adapters of a model that has some, else its weights, those excepted that the recipe freezes: these get no gradient
 * and no state. What is trained must be float32, and is changed in place.
 *
 * @throws TrainingError when a pattern of the recipe matches no weight, when `max_skipped_steps` steps in a row, or all, were skipped; the last good checkpoint stands.
 * @throws EnvironmentError when the disk has no room for a checkpoint; earlier ones stand.
 */
export async function train<Item>(
  model: Decoder,
  task: TrainingTask<Item>,
  options: TrainingOptions,
): Promise<TrainingSummary> {
  const { recipe } = options;
  const trained = trainedWeights(model, recipe);
  refuseUnfit(trained, task, options);
  const { order = "shuffled", seed } = options;
  const plan = { batchSize: recipe.batch_size, epochs: recipe.epochs, order, seed };
  const batches = plannedBatches(task.items.length, plan);
  const totalSteps = batches.length;
  const factorAt = scheduleOf(recipe, totalSteps);
  const optimiser = optimiserOf(recipe, trained, model.config.layers.length);
  const kept = keepingTask(optimiser, task);
  const inputs = checkpointDigest(options);
  const keeper = checkpointKeeper(options.checkpoints, { inputs, weights: trained, optimiser: kept }, recipe);
  const start = keeper.load();
  const evaluations = [...start.evaluations];
  const metricsFile = options.metrics === undefined ? undefined : openMetrics(options.metrics, start.step);
  const notice = options.onNotice ?? (() => {});
  if (batches.every((_, step) => factorAt(step) === 0))
    notice("the warm-up takes every step: nothing is learnt. Give more rows or epochs, or set warmup_ratio: 0");
  const spikeIn = lossWatch();
  const forward = { dtype: options.dtype, training: true, ...wrapping[recipe.activation_checkpointing] };
  const { device } = model.parameters.get("model.embed_tokens.weight")!;
  const part = { names: trained.keys(), adapters: model.adapters !== undefined };
  const { config } = model;
  const sums = holdsSums({ config, compute: options.dtype === "bfloat16" ? "bf16" : "fp32", recipe });
  const measure = stepMeter({ config, dtype: options.dtype, device, trained: part, from: start.step, totalSteps });
  const isDue = (step: number) =>
    task.heldOut?.length && (step % recipe.evaluate_every_steps === 0 || step === totalSteps);

  const profiler =
    options.profile === undefined ? undefined : stepProfiler(options.profile, totalSteps - start.step, notice);

  let skipped = start.skipped;
  const stateAfter = (step: number): TrainingState => ({ step, skipped, evaluations });
  const unfinished = (step: number): TrainingSummary => ({
    steps: step,
    totalSteps,
    skipped,
    finished: false,
    batches: batches.slice(0, step),
  });
  for (const weight of trained.values()) weight.requiresGrad = true;
  try {
    /** Steps skipped in a row, and their rows. While there are any no checkpoint is written: the last good one stands. */
    let suspects: string[][] = [];
    let done = start.step;
    for (; ; done++) {
      if (isDue(done) && suspects.length === 0 && evaluations.at(-1)?.step !== done) {
        const figures = await (optimiser.withAverages ?? alone)(() => evaluate(model, task, options));
        if (figures === undefined) {
          keeper.save(stateAfter(done));
          return unfinished(done);
        }
        const evaluation: StepMetrics = { step: done, ...figures };
        requireMetric(recipe, evaluation);
        evaluations.push(evaluation);
        metricsFile?.write(evaluation);
        options.onEvaluation?.(evaluation, totalSteps);
        const growth = lengthGrowth(evaluations);
        if (growth !== undefined) notice(growth);
        keeper.saveIfBest(stateAfter(done));
      }
      if (done % recipe.checkpoint_every_steps === 0 && done < totalSteps && suspects.length === 0)
        keeper.save(stateAfter(done));
      if (done === totalSteps || isStale(evaluations, recipe.early_stopping)) break;

      const began = performance.now();
      const items = batches[done]!.map((index) => task.items[index]!).filter((item) => task.has?.(item) ?? true);
      if (items.length === 0) continue;
      const batchOptions: BatchOptions = {
        trained,
        microBatchTokens: recipe.micro_batch_tokens,
        maxGradNorm: recipe.max_grad_norm,
        progress: done / totalSteps,
        forward: drops(recipe) ? { ...forward, dropoutSeed: seedOf(options.seed, done) } : forward,
        signal: options.signal,
      };
      profiler?.begin();
      const gradientBy = (policy: Decoder) => batchGradient(policy, task, items, batchOptions);
      const result = await (sums ? usingSums(model, gradientBy) : gradientBy(model));
      if (result.kind === "aborted") {
        if (suspects.length === 0) keeper.save(stateAfter(done));
        return unfinished(done);
      }
      const step = done + 1;
      const learningRate = recipe.learning_rate * factorAt(done);
      if (result.kind === "done") {
        span("optimiser", () => optimiser.step(learningRate));
        task.stepped?.(step);
        suspects = [];
      } else {
        const names = (await culprits(model, task, items, batchOptions)).map(task.nameOf);
        suspects.push(names);
        skipped += 1;
        notice(`step ${step} was skipped: its ${result.what}, by ${names.join(", ")}`);
      }
      optimiser.zeroGrad();
      profiler?.end();
      const metrics: StepMetrics = {
        step,
        epoch: Math.min(recipe.epochs, (step * recipe.batch_size) / task.items.length),
        ...(result.kind === "done" ? { ...result.figures, grad_norm: result.gradNorm } : {}),
        learning_rate: learningRate,
        ...(skipped > 0 ? { skipped_steps: skipped } : {}),
        ...measure(step, items.flatMap(task.bundlesOf), (performance.now() - began) / 1000),
      };
      metricsFile?.write(metrics, suspects.at(-1));
      options.onStep?.(metrics, totalSteps);
      if (suspects.length >= recipe.max_skipped_steps || skipped === totalSteps)
        throw new TrainingError(skippedWords(suspects, step), { hint: skippedCure });
      const spike = result.kind === "done" ? spikeIn(step, metrics.loss!) : undefined;
      if (spike !== undefined) notice(`${spike}; its rows: ${items.map(task.nameOf).join(", ")}`);
    }
    const best = keeper.restoreBest(stateAfter(done));
    optimiser.takeAverages?.();
    if (done < totalSteps)
      notice(`stopped early after step ${done} of ${totalSteps}: ${metricOf(recipe)} was best after step ${best}`);
    return {
      ...{ steps: done, totalSteps, skipped, finished: true },
      batches: batches.slice(0, done),
      ...(best === undefined ? {} : { best }),
    };
  } finally {
    dropBy(undefined);
    profiler?.close();
    optimiser.zeroGrad();
    for (const weight of trained.values()) weight.requiresGrad = false;
    for (const held of optimiser.state().values()) held.dispose();
  }
}

const alone = <Result>(work: () => Promise<Result>): Promise<Result> => work();

/** Figures on the rows held out, and by samples where the options have them; undefined where the signal ended it. */
async function evaluate<Item>(
  model: Decoder,
  task: TrainingTask<Item>,
  { recipe, dtype, signal, sampled }: TrainingOptions,
): Promise<Record<string, number> | undefined> {
  const figures = await evaluateHeldOut(model, task, recipe.micro_batch_tokens, { dtype }, signal);
  if (figures === undefined || sampled === undefined) return figures;
  const more = await sampled();
  if (signal?.aborted) return undefined;
  return { ...figures, ...Object.fromEntries(Object.entries(more).map(([name, value]) => [`eval/${name}`, value])) };
}

/** What falls out in a step depends on nothing before it: a training that goes on from a checkpoint repeats it. */
const seedOf = (seed: number, step: number) => Number.parseInt(contentKey({ seed, step }).slice(0, 8), 16);

/** How layers are computed so that less is kept of them for the backward. */
const wrapping: Readonly<Record<OptimisationRecipe["activation_checkpointing"], Pick<ForwardOptions, "wrapLayer">>> = {
  none: {},
  selective: {
    wrapLayer: (body, x, weights, layer) => (layer % 2 === 0 ? checkpointed(body, x, weights) : scope(() => body(x))),
  },
  layer: { wrapLayer: checkpointed },
};

function refuseUnfit<Item>(
  trained: Parameters,
  task: TrainingTask<Item>,
  { recipe, checkpoints }: TrainingOptions,
): void {
  if (task.items.length === 0) throw new TrainingError("there is nothing to train on");
  for (const [name, { dtype }] of trained)
    if (dtype !== "float32" && dtype !== "float64")
      throw new TrainingError(`the weight ${name} is ${dtype}; small updates would be lost in its rounding`, {
        hint: "Load the model in fp32; the compute type of the training may still be bf16.",
      });
  if (recipe.early_stopping === undefined && !(recipe.keep_best > 0)) return;
  const lacks = !task.heldOut?.length
    ? "rows that are held out"
    : checkpoints === undefined
      ? "checkpoints"
      : undefined;
  if (lacks !== undefined)
    throw new TrainingError(`early_stopping and keep_best need ${lacks}, and there are none`, {
      hint: "Give the task `heldOut` rows, and the training a folder for `checkpoints`.",
    });
}

/** @throws TrainingError where the training goes by a metric that its first evaluation doesn't have. */
function requireMetric(recipe: OptimisationRecipe, { step, ...figures }: StepMetrics): void {
  if (recipe.early_stopping === undefined || step > 0 || `eval/${metricOf(recipe)}` in figures) return;
  const names = Object.keys(figures).map((name) => name.slice("eval/".length));
  throw new TrainingError(`no evaluation gives ${metricOf(recipe)}`, {
    hint: `Set early_stopping.metric to one of ${names.join(", ")}.`,
  });
}

const skippedWords = (suspects: readonly (readonly string[])[], last: number): string => {
  const steps = suspects.map((rows, k) => `step ${last - suspects.length + 1 + k}: ${rows.join(", ")}`);
  const count = suspects.length === 1 ? "1 step" : `${suspects.length} steps in a row`;
  return `loss or gradient was not finite in ${count}; the rows at fault: ${steps.join("; ")}`;
};
const skippedCure =
  "Look at these rows; where they are sound, lower the learning rate or max_grad_norm, or set precision: fp32. The last checkpoint from before is kept, and the same command goes on from it.";
