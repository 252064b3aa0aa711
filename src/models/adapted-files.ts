import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Adapters } from "../nn/index.ts";
import { amended, contentKey, expandHome, ModelError, type ModelRecipe } from "../schema/index.ts";
import { tokenizerFromFolder } from "../tokenizers/index.ts";
import { type DType, noGrad, type Tensor } from "../torch/index.ts";
import { disposeAdapters, mergeAdapters } from "./adapters.ts";
import { digestFiles } from "./digest.ts";
import type { ModelFiles } from "./load.ts";
import { adapterFiles, isAdapterFolder, readAdapters, readPeftConfig } from "./peft.ts";

/** A base model, as a recipe names one, and the folder of the adapters on it. */
export interface BaseAndAdapter {
  readonly base: string;
  /** Where a relative path of the base starts. */
  readonly baseFolder: string;
  readonly adapter: string | undefined;
}

/**
 * The parts of a model that a recipe names: its `adapter` on its `model`, or a `model` that is an adapter's folder, which
 * says itself what it adapts.
 *
 * @throws ModelError where there is no such adapter, or it doesn't name its base.
 */
export function baseAndAdapter(
  { model, adapter }: Pick<ModelRecipe, "model" | "adapter">,
  baseFolder: string,
): BaseAndAdapter {
  const folderOf = (path: string) => resolve(baseFolder, expandHome(path));
  if (adapter !== undefined) {
    const folder = folderOf(adapter);
    if (!existsSync(folder)) throw new ModelError(`there is no adapter folder ${folder}`, { hint: adapterHint });
    return { base: model, baseFolder, adapter: folder };
  }
  const folder = folderOf(model);
  if (model.startsWith("package:") || !isAdapterFolder(folder)) return { base: model, baseFolder, adapter };
  const base = readPeftConfig(folder).base_model_name_or_path ?? undefined;
  if (base === undefined)
    throw new ModelError("the adapter doesn't say which model it adapts", {
      file: folder,
      field: "base_model_name_or_path",
      hint: "Name that model in `model`, and this folder in `adapter`.",
    });
  return { base, baseFolder: folder, adapter: folder };
}

const adapterHint = "An adapter is a folder as PEFT writes it, relative to the recipe's own.";

/**
 * A model with the adapters of a folder merged in. Its tokenizer is the folder's own where it has one.
 *
 * @throws ModelError where the adapters are damaged, of another model, or of a kind that is not known here.
 */
export async function adaptedFiles(files: ModelFiles, folder: string, chatTemplate?: string): Promise<ModelFiles> {
  const read = () =>
    amended({ hint: `It is to adapt ${files.label}.` }, () => readAdapters(folder, files.decoderConfig));
  // What is wrong with them is told now, not when the weights are needed.
  disposeAdapters(read());
  const own = existsSync(join(folder, "tokenizer.json"));
  return {
    ...files,
    path: folder,
    label: `${files.label} with ${folder}`,
    tokenizer: own ? await tokenizerFromFolder(folder, { chatTemplate }) : files.tokenizer,
    digest: contentKey({ base: files.digest, adapter: digestFiles(adapterFiles(folder)) }),
    weights(dtype) {
      const adapters = read();
      try {
        return mergedWeights(files, adapters, dtype);
      } finally {
        disposeAdapters(adapters);
      }
    },
  };
}

/** The weights of a model with adapters merged in, in float32 before they are rounded to `dtype`. */
export function mergedWeights(
  files: Pick<ModelFiles, "weights">,
  adapters: Adapters,
  dtype: DType,
): Map<string, Tensor> {
  const weights = files.weights("float32");
  mergeAdapters(weights, adapters);
  for (const [name, weight] of dtype === "float32" ? [] : weights) {
    weights.set(
      name,
      noGrad(() => weight.to(dtype)),
    );
    weight.dispose();
  }
  return weights;
}
