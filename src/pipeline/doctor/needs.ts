import { type DecoderConfig, parameterShapes } from "../../models/index.ts";
import type { ModelRecipe, OptimisationRecipe, Precision, Recipe } from "../../schema/index.ts";

export type Compute = "fp32" | "bf16";

/** Node, libtorch and their buffers before any model is there. */
const baseBytes = 0.5e9;
/** The most that generation keeps of keys and values, and what one step needs beside them. */
const generationBytes = 2.5e9;
const bytesOf = { fp32: 4, bf16: 2 } as const;

/** Number of weights of a decoder. */
export function parameterCount(config: DecoderConfig): number {
  let count = 0;
  for (const [, shape] of parameterShapes(config)) count += shape.reduce((product, size) => product * size, 1);
  return count;
}

/**
 * Estimated peak memory of training in bytes: fp32 weights, gradients and the two moments of AdamW (16 bytes a weight;
 * 2 more for a bf16 copy), and the activations kept for the backward pass of one micro-batch: per layer and token about
 * ten vectors of the hidden size and four of the MLP's, or one where activations are computed anew. A reference that follows
 * the policy has weights of its own.
 */
export function trainingMemory(
  config: DecoderConfig,
  recipe: OptimisationRecipe & Pick<Partial<Recipe["wrpo"]>, "reference_sync_steps">,
  compute: Compute,
): number {
  const { micro_batch_tokens, activation_checkpointing, reference_sync_steps } = recipe;
  const reference = reference_sync_steps === undefined ? 0 : 4;
  const weights = parameterCount(config) * ((compute === "bf16" ? 18 : 16) + reference);
  const layer = (10 * config.hiddenSize + 4 * config.intermediateSize) * bytesOf[compute];
  const layers = config.layers.length;
  const kept = activation_checkpointing ? layers * config.hiddenSize * bytesOf[compute] + layer : layers * layer;
  return baseBytes + weights + micro_batch_tokens * kept;
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
  "Lower micro_batch_tokens, or set activation_checkpointing: true; both bound the memory and never change the result.";
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
export function runFolderBytes(
  config: DecoderConfig | undefined,
  responses: number,
  { reference_sync_steps }: Pick<Recipe["wrpo"], "reference_sync_steps">,
): number {
  const parameters = config === undefined ? 0 : parameterCount(config);
  const checkpoint = reference_sync_steps === undefined ? 12 : 16;
  return responses * responseBytes + parameters * (2 * checkpoint + 2 * 4);
}
