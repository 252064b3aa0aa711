import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  createAdapters,
  disposeModel,
  type LoadedModel,
  loadFiles,
  type ModelFiles,
  mergedWeights,
  saveModel,
  writeAdapters,
} from "../models/index.ts";
import type { OptimisationRecipe } from "../schema/index.ts";
import type { DType } from "../torch/index.ts";

/** Where a model folder keeps the adapters that were merged into it. */
const adapterFolder = "adapter";

/** The model that a training starts from: in fp32, but where only adapters are trained in the type that it computes in. */
export const loadForTraining = (
  files: ModelFiles,
  { lora, precision }: OptimisationRecipe,
  device: string,
): LoadedModel => loadFiles(files, { precision: lora === undefined ? "fp32" : precision, device });

/** A model with fresh adapters where the recipe asks for them. */
export function withAdapters(model: LoadedModel, { lora }: OptimisationRecipe, seed: number): LoadedModel {
  if (lora === undefined) return model;
  const adapters = createAdapters(model.decoder, lora.target_modules, lora, seed);
  return { ...model, decoder: { ...model.decoder, adapters } };
}

export interface Tuned {
  readonly recipe: OptimisationRecipe;
  /** What was trained; its weights are freed where they were only the base of adapters. */
  readonly model: LoadedModel;
  /** What it was loaded from. */
  readonly files: ModelFiles;
  /** How the adapters call that. */
  readonly base: string;
  readonly card: string;
}

/**
 * Writes what was trained as a model folder. Adapters are merged into the base's fp32 weights, and stand in `adapter/` of
 * the folder as PEFT writes them.
 */
export function saveTuned(folder: string, { recipe, model, files, base, card }: Tuned): void {
  const { adapters } = model.decoder;
  if (recipe.lora === undefined || adapters === undefined) {
    saveModel(folder, model, card);
    return;
  }
  // The base may be there in a type that has rounded it.
  disposeModel(model);
  const merged = { ...files, weights: (dtype: DType) => mergedWeights(files, adapters, dtype) };
  const whole = loadFiles(merged, { precision: "fp32", device: "cpu" });
  try {
    const { lora } = recipe;
    saveModel(folder, whole, card, (partial) => {
      mkdirSync(join(partial, adapterFolder));
      writeAdapters(join(partial, adapterFolder), adapters, lora, base);
    });
  } finally {
    disposeModel(whole);
  }
}
