import { adaptableShapes, adaptedNames, type DecoderConfig, parameterShapes } from "../models/index.ts";
import { nameMatcher } from "../nn/index.ts";
import { type OptimisationRecipe, TrainingError, type WrpoRecipe } from "../schema/index.ts";
import { keptLogitBytes, logitsAtATime } from "../scoring/index.ts";
import { freeMemory } from "./available-memory.ts";

export type Compute = "fp32" | "bf16";

/** Node, libtorch and their buffers before any model is there. */
export const baseBytes = 0.5e9;
const bytesOf = { fp32: 4, bf16: 2 } as const;

const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Number of weights of a decoder. */
export const parameterCount = (config: DecoderConfig): number =>
  [...parameterShapes(config).values()].reduce((count, shape) => count + elements(shape), 0);

type TrainedPart = Pick<OptimisationRecipe, "frozen" | "lora">;

/** Number of weights that a recipe trains: those that are not frozen, or those of its adapters. */
export function trainedCount(config: DecoderConfig, { frozen, lora }: TrainedPart): number {
  let count = 0;
  if (lora === undefined) {
    const stays = frozen.map(nameMatcher);
    for (const [name, shape] of parameterShapes(config))
      if (!stays.some((matches) => matches(name))) count += elements(shape);
    return count;
  }
  const shapes = adaptableShapes(config);
  for (const name of adaptedNames(config, lora.target_modules)) {
    const [out, inputs] = shapes.get(name) as [number, number];
    count += lora.rank * (out + inputs) + (lora.dora ? out : 0);
  }
  return count;
}

/** Bytes that an optimiser keeps of a trained weight. */
const stateBytes = ({ optimiser, adafactor_beta1, momentum }: OptimisationRecipe): number =>
  ({ adamw: 8, adafactor: adafactor_beta1 ? 4 : 0, lion: 4, sgd: momentum ? 4 : 0 })[optimiser];

/** A model, the type that its training computes in, and what the recipe says of it. */
export interface MemoryQuestion {
  readonly config: DecoderConfig;
  readonly compute: Compute;
  readonly recipe: OptimisationRecipe & Pick<Partial<WrpoRecipe>, "reference_sync_steps">;
}

/**
 * Bytes that training takes for each token of a micro-batch. Each layer keeps six and a half vectors of the hidden size and four
 * of each MLP that a token goes through until its backward, or one vector where it is computed anew; the layer whose
 * backward is going on takes as much again, with its gradients. In bf16 a part is added for what norms and attention keep in fp32 where they have no
 * kernel of ours, and DoRA keeps every product once more. Measured on models of 5 and 135 million weights, and never below what was found there.
 */
export function bytesPerToken({ config, compute, recipe }: MemoryQuestion): number {
  const { hiddenSize, intermediateSize, layers, experts } = config;
  const inner = intermediateSize * (experts?.perToken ?? 1);
  const stretched = recipe.lora?.dora ? 4 * hiddenSize + 2 * inner : 0;
  const layer = (6.5 * hiddenSize + 4 * inner + stretched) * (compute === "bf16" ? 2 * 1.15 : 4);
  const again = { none: 0, selective: Math.ceil(layers.length / 2), layer: layers.length }[
    recipe.activation_checkpointing
  ];
  const kept = (layers.length - again) * layer + again * hiddenSize * bytesOf[compute];
  return kept + (again > 0 || compute === "bf16" ? 2 : 1) * layer;
}

/** Bytes of the weights while they are trained: in fp32, or under adapters in the type of the computation. */
const weightBytes = ({ config, compute, recipe }: MemoryQuestion): number =>
  parameterCount(config) * (recipe.lora === undefined ? 4 : bytesOf[compute]);

/** Bytes of the weights that a recipe's adapters are added to, in fp32. */
function summedBytes({ config, recipe: { lora } }: MemoryQuestion): number {
  if (lora === undefined) return 0;
  const shapes = adaptableShapes(config);
  return adaptedNames(config, lora.target_modules).reduce((sum, name) => sum + 4 * elements(shapes.get(name)!), 0);
}

/**
 * Whether a step computes the sums of weights and adapters once and holds them: in fp32, where nothing is dropped, and where they
 * take no more than the activations of the longest row. In bf16 small changes would be lost in the sums' rounding.
 */
export const holdsSums = (question: MemoryQuestion): boolean =>
  question.recipe.lora?.dropout === 0 &&
  question.compute === "fp32" &&
  summedBytes(question) <= question.recipe.max_length * bytesPerToken(question);

/** Bytes of the weights of a reference that follows the policy. */
const referenceBytes = ({ config, recipe }: MemoryQuestion): number =>
  recipe.reference_sync_steps === undefined ? 0 : 4 * parameterCount(config);

/**
 * Bytes that training takes whatever the micro-batch, beside the weights: of what is trained a gradient, the optimiser's state
 * and an average; in bf16 the copies that are computed with; the sums with adapters that are held; three matrices of the size of the output's, and the logits.
 */
function fixedBytes(question: MemoryQuestion): number {
  const { config, compute, recipe } = question;
  const { lora, ema_decay } = recipe;
  const perTrained = 4 + stateBytes(recipe) + (ema_decay === undefined ? 0 : 4) + (lora === undefined ? 0 : 4);
  const copies = lora === undefined && compute === "bf16" ? 2 * parameterCount(config) : 0;
  const head = config.vocabularySize * config.hiddenSize;
  const trained = trainedCount(config, recipe) * perTrained;
  const sums = holdsSums(question) ? summedBytes(question) : 0;
  return referenceBytes(question) + trained + copies + sums + 3 * head * 4 + 5 * logitsAtATime + keptLogitBytes;
}

/** Estimated peak memory of training in bytes. Under `auto` a micro-batch counts as one row of the greatest length. */
export function trainingMemory(question: MemoryQuestion): number {
  const { micro_batch_tokens, max_length, lora } = question.recipe;
  const tokens = micro_batch_tokens === "auto" ? max_length : micro_batch_tokens;
  const training = weightBytes(question) + fixedBytes(question) + tokens * bytesPerToken(question);
  // Adapters are merged into the weights in fp32.
  return baseBytes + (lora === undefined ? training : Math.max(training, 4 * parameterCount(question.config)));
}
/** Matrix products gain nothing from more rows; the share of the free memory that may be planned with. */
const most = 8192;
const least = 256;
const usable = 0.8;

export interface MicroBatchBudget {
  readonly tokens: number;
  /** Why it is so many, in words. */
  readonly reason: string;
}

/**
 * As many tokens a micro-batch as the memory that is free now holds, once the weights are loaded: a multiple of 256, from 256
 * to 8192, of an estimate by the config (`trainingMemory`) held to 80 % of the memory of the device.
 *
 * @throws TrainingError where the memory can't hold a single row of `longest` tokens by twice the estimate.
 */
export function autoMicroBatchTokens(
  question: MemoryQuestion & { readonly device: string; readonly longest: number },
  free = freeMemory(question.device),
): MicroBatchBudget {
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  const { longest } = question;
  const perToken = bytesPerToken(question);
  const room = usable * free - fixedBytes(question);
  const tokens = Math.min(most, Math.max(least, Math.floor(room / perToken / 256) * 256));
  const needed = fixedBytes(question) + Math.max(longest, least) * perToken;
  if (needed > 2 * free)
    throw new TrainingError(
      `a row of ${longest} tokens takes about ${gigabytes(needed)} of memory to train on, and ${gigabytes(free)} are free`,
      {
        hint:
          question.recipe.activation_checkpointing === "layer"
            ? "Lower max_length, take a smaller model, or close other programs."
            : "Set activation_checkpointing: layer, lower max_length, take a smaller model, or close other programs.",
      },
    );
  const each = `${(perToken / 1e6).toFixed(2)} MB a token`;
  const reason = `${each} and ${gigabytes(fixedBytes(question))} besides; ${gigabytes(free)} of memory are free`;
  const tight = room < Math.max(longest, least) * perToken;
  return { tokens, reason: tight ? `${reason}, which is scarce for the longest row, of ${longest} tokens` : reason };
}
