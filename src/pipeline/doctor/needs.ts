import type { DecoderConfig } from "../../models/index.ts";
import type { ModelRecipe, Precision, Recipe } from "../../schema/index.ts";
import { baseBytes, type Compute, parameterCount, trainingMemory } from "../../training/index.ts";
import { trainingsOf } from "../trainings.ts";

/** The most that generation keeps of keys and values, and what one step needs beside them. */
const generationBytes = 2.5e9;
const bytesOf = { fp32: 4, bf16: 2 } as const;

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
  for (const stage of trainingsOf(trainings)) {
    if (config === undefined) break;
    const recipe = trainings[stage];
    const bytes = trainingMemory({ config, recipe, compute: compute(recipe.precision, "cpu") });
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

/** Estimated bytes that a run folder comes to: ledger, the checkpoints that are kept with the one being written, two models. */
export function runFolderBytes(
  config: DecoderConfig | undefined,
  responses: number,
  {
    reference_sync_steps,
    keep_last,
    keep_best,
  }: Pick<Recipe["wrpo"], "reference_sync_steps" | "keep_last" | "keep_best">,
): number {
  const parameters = config === undefined ? 0 : parameterCount(config);
  const checkpoint = reference_sync_steps === undefined ? 12 : 16;
  return responses * responseBytes + parameters * ((keep_last + keep_best + 1) * checkpoint + 2 * 4);
}
