import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { disposeAdapters, type LoadedModel, type ModelFiles } from "../models/index.ts";
import { resolvePrecision } from "../nn/index.ts";
import type { LoggingRecipe, OptimisationRecipe } from "../schema/index.ts";
import type { Ledger } from "../store/index.ts";
import {
  type Compute,
  type ResolvedOptimisation,
  type StepMetrics,
  type TrainingOptions,
  type TrainingSummary,
  type TrainingTask,
  train,
} from "../training/index.ts";
import type { Activity } from "./events.ts";
import { withSinks } from "./logging.ts";
import { saveTuned, withAdapters } from "./lora.ts";
import { Interrupted, type Run } from "./run.ts";
import type { SampledEvaluation } from "./sampled-evaluation.ts";
import { evaluationWords, shownFigures } from "./training-words.ts";

/** The type that a training computes in: as recipes call it, and as tensors do. */
export function computeTypes(
  precision: OptimisationRecipe["precision"],
  device: string,
): { readonly compute: Compute; readonly dtype: "bfloat16" | "float32" } {
  const compute = resolvePrecision(precision, device);
  return { compute, dtype: compute === "bf16" ? "bfloat16" : "float32" };
}

interface Making {
  readonly ledger: Ledger;
  /** The name of the model in the ledger. */
  readonly name: string;
  /** Digest of all that decides it. */
  readonly inputs: string;
  /** The folders and files that stand when it is made. */
  readonly made: readonly string[];
  readonly checkpoints: string;
  readonly recipe: Pick<OptimisationRecipe, "keep_last" | "keep_best">;
}

/** Whether checkpoints outlive their training: who asks for several means to look at them. */
export const keepsCheckpoints = ({ keep_last, keep_best }: Pick<OptimisationRecipe, "keep_last" | "keep_best">) =>
  keep_last > 1 || keep_best > 0;

/**
 * Makes a model unless it stands and was made from the same inputs; undefined where it does. The checkpoints
 * go only when the ledger knows of the model: a training that was killed in between has them still.
 */
export async function unlessMade<Outcome>(
  { ledger, name, inputs, made, checkpoints, recipe }: Making,
  make: () => Promise<Outcome>,
): Promise<Outcome | undefined> {
  const stands = made.every((path) => existsSync(path)) && (await ledger.meta.get(name)) === inputs;
  const outcome = stands ? undefined : await make();
  if (!stands) await ledger.meta.set(name, inputs);
  if (!keepsCheckpoints(recipe)) rmSync(checkpoints, { recursive: true, force: true });
  return outcome;
}

export interface ModelTraining<Item> extends Pick<TrainingOptions, "seed" | "dtype" | "inputs" | "profile" | "order"> {
  readonly stage: Activity;
  /** What people call the training: in progress lines, and among the runs of a folder or of W&B. */
  readonly words: { readonly progress: string; readonly label: string; readonly name: string };
  readonly recipe: ResolvedOptimisation;
  /** The model, and the files that it was loaded from. */
  readonly model: LoadedModel;
  readonly files: ModelFiles;
  /** What adapters say that they adapt. */
  readonly base: string;
  readonly task: TrainingTask<Item>;
  readonly checkpoints: string;
  readonly metrics: string;
  /** The model folder to write. */
  readonly target: string;
  readonly logging: LoggingRecipe;
  /** All settings, for those who look at the logs. */
  readonly config: object;
  /** The text of the model's card. */
  readonly card: (trained: TrainedModel) => Promise<string> | string;
  /** Opens an evaluation by what the model that is trained answers. */
  readonly sampled?: (model: LoadedModel) => Promise<SampledEvaluation>;
}

export interface TrainedModel {
  readonly summary: TrainingSummary;
  /** Figures of the last step and of the last evaluation that this process made. */
  readonly last: StepMetrics | undefined;
  readonly evaluation: StepMetrics | undefined;
}

type Around = Pick<Run, "listener" | "signal">;

/**
 * Trains a model, or adapters in its place, and writes the model folder.
 *
 * @throws Interrupted when the signal stopped it; the checkpoint says where to go on.
 */
export async function trainModel<Item>(around: Around, training: ModelTraining<Item>): Promise<TrainedModel> {
  const model = withAdapters(training.model, training.recipe, training.seed);
  let evaluation: SampledEvaluation | undefined;
  try {
    evaluation = await training.sampled?.(model);
    const trained = await trainedBy(around, { ...training, model }, evaluation);
    const { recipe, files, base, target } = training;
    mkdirSync(dirname(target), { recursive: true });
    saveTuned(target, { recipe, model, files, base, card: await training.card(trained) });
    return trained;
  } finally {
    await evaluation?.close();
    if (model.decoder.adapters !== undefined) disposeAdapters(model.decoder.adapters);
  }
}

async function trainedBy<Item>(
  { listener, signal }: Around,
  training: ModelTraining<Item>,
  sampled: SampledEvaluation | undefined,
): Promise<TrainedModel> {
  const { stage, words, recipe, model, task, seed, dtype, inputs, checkpoints, metrics, profile, order } = training;
  let last: StepMetrics | undefined;
  let evaluation: StepMetrics | undefined;
  const logged = { metrics, label: words.label, name: words.name, inputs, config: training.config };
  const summary = await withSinks(training.logging, logged, (write) =>
    train(model.decoder, task, {
      ...{ recipe, seed, dtype, inputs, checkpoints, metrics, signal },
      ...(profile === undefined ? {} : { profile }),
      ...(order === undefined ? {} : { order }),
      onStep(step, total) {
        last = step;
        write(step);
        const figures = shownFigures(step);
        listener.progress({ stage, label: words.progress, done: step.step, total, unit: "steps", figures });
      },
      onEvaluation(figures, total) {
        evaluation = figures;
        write(figures);
        listener.notice(evaluationWords(figures, total));
      },
      onNotice: (line) => listener.notice(line),
      ...(sampled === undefined ? {} : { sampled: sampled.measure }),
    }),
  );
  if (!summary.finished) throw new Interrupted("stopped; the same command goes on from the checkpoint");
  return { summary, last, evaluation };
}
