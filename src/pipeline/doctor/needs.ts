import { adaptableShapes, adaptedNames, type DecoderConfig, parameterShapes } from "../../models/index.ts";
import { nameMatcher } from "../../nn/index.ts";
import type { ModelRecipe, OptimisationRecipe, Precision, Recipe } from "../../schema/index.ts";

export type Compute = "fp32" | "bf16";

/** Node, libtorch and their buffers before any model is there. */
const baseBytes = 0.5e9;
/** The most that generation keeps of keys and values, and what one step needs beside them. */
const generationBytes = 2.5e9;
const bytesOf = { fp32: 4, bf16: 2 } as const;

const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Number of weights of a decoder. */
export const parameterCount = (config: DecoderConfig): number =>
  [...parameterShapes(config).values()].reduce((count, shape) => count + elements(shape), 0);

/** Number of weights that a recipe trains: those that are not frozen, or those of its adapters. */
export function trainedCount(config: DecoderConfig, { frozen, lora }: OptimisationRecipe): number {
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

/**
 * Estimated peak memory of training in bytes: the weights, in fp32 (2 bytes more for a bf16 copy) or under adapters in the
 * type of the computation; of what is trained a gradient in fp32, the optimiser's state and an average; and the activations kept for the backward pass of one micro-batch: per layer and token about
 * ten vectors of the hidden size and four of the MLP's, or one where activations are computed anew.
 */
export function trainingMemory(config: DecoderConfig, recipe: OptimisationRecipe, compute: Compute): number {
  const { micro_batch_tokens, activation_checkpointing, lora, ema_decay } = recipe;
  const all = parameterCount(config);
  const held = lora === undefined ? all * (compute === "bf16" ? 6 : 4) : all * bytesOf[compute];
  const perTrained = 4 + stateBytes(recipe) + (ema_decay === undefined ? 0 : 4) + (lora === undefined ? 0 : 4);
  const weights = held + trainedCount(config, recipe) * perTrained;
  const [hidden, intermediate] = [config.hiddenSize, config.intermediateSize];
  // DoRA keeps every product once more.
  const stretched = lora?.dora ? 4 * hidden + 2 * intermediate : 0;
  const layer = (10 * hidden + 4 * intermediate + stretched) * bytesOf[compute];
  const layers = config.layers.length;
  // A layer that is computed again keeps its input, and one at a time has all of it.
  const again = { none: 0, selective: Math.ceil(layers / 2), layer: layers }[activation_checkpointing];
  const kept = (layers - again) * layer + (again > 0 ? again * hidden * bytesOf[compute] + layer : 0);
  const training = weights + micro_batch_tokens * kept;
  // Adapters are merged into the weights in fp32.
  return baseBytes + (lora === undefined ? training : Math.max(training, 4 * all));
}

/** Estimated peak memory in bytes of drawing responses from a model, or of judging with it. */
export const samplingMemory = (config: DecoderConfig, compute: Compute): number =>
  baseBytes + parameterCount(config) * bytesOf[compute] + generationBytes;

/** A part of a run, the memory that it takes at most, and what makes that less. */
export interface Need {
  readonly name: string;
  readonly bytes: number;
  readonly cure: string;
}

/** Whether a need may be met by so much free memory; estimates are not exact. */
export const fits = ({ bytes }: Need, free: number): boolean => bytes <= 0.9 * free;

const trainingCure =
  "Lower micro_batch_tokens, or set activation_checkpointing: layer; both bound the memory and never change the result. Or train adapters only, by lora: {}.";
const samplingCure = "Take a smaller model, or set its precision to bf16.";

/**
 * What of a recipe takes the most of this machine's memory, of its trainings and of drawing from its sources; undefined
 * where no model is known. `configOf` gives a model's config, or undefined.
 */
export function largestNeed(
  { target, sources, ...trainings }: Pick<Recipe, "target" | "sources" | "sft" | "wrpo">,
  configOf: (model: ModelRecipe) => DecoderConfig | undefined,
  compute: (precision: Precision, device: string) => Compute,
): Need | undefined {
  const needs: Need[] = [];
  const config = target.device === "cpu" ? configOf(target) : undefined;
  for (const stage of ["sft", "wrpo"] as const) {
    if (config === undefined) break;
    const bytes = trainingMemory(config, trainings[stage], compute(trainings[stage].precision, "cpu"));
    needs.push({ name: `training (${stage})`, bytes, cure: trainingCure });
  }
  for (const source of sources) {
    const drawn = "model" in source && source.device === "cpu" ? configOf(source) : undefined;
    if (!("model" in source) || drawn === undefined) continue;
    const bytes = samplingMemory(drawn, compute(source.precision, "cpu"));
    needs.push({ name: `source ${source.name}`, bytes, cure: samplingCure });
  }
  return needs.sort((a, b) => b.bytes - a.bytes)[0];
}

/** Bytes on the disk of one stored response with its scores: text of some hundred tokens, keys, indices. */
const responseBytes = 3000;

/** Estimated bytes that a run folder comes to: ledger, two checkpoints at the moment one replaces the other, two models. */
export function runFolderBytes(config: DecoderConfig | undefined, responses: number): number {
  const parameters = config === undefined ? 0 : parameterCount(config);
  return responses * responseBytes + parameters * (2 * 12 + 2 * 4);
}
