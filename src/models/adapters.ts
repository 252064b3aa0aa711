import { type Adapters, createAdapter, type LoraSettings, merged, withoutNumbers, withSums } from "../nn/index.ts";
import { ModelError } from "../schema/index.ts";
import { generator, type Tensor } from "../torch/index.ts";
import type { DecoderConfig } from "./config.ts";
import { type Decoder, parameterShapes } from "./decoder.ts";

/** Modules whose products may be adapted: `all-linear`, or ends of their names, as PEFT reads them. */
export type TargetModules = "all-linear" | readonly string[];

/** Shapes of the weights that can be adapted, by name: the projections of the layers, those of experts not among them. */
export function adaptableShapes(config: DecoderConfig): Map<string, number[]> {
  const projection = /^model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj\.weight$/;
  return new Map([...parameterShapes(config)].filter(([name]) => projection.test(name)));
}

/**
 * Names of the weights that `targets` mean.
 *
 * @throws ModelError for one that means none, with what there is.
 */
export function adaptedNames(config: DecoderConfig, targets: TargetModules): string[] {
  const names = [...adaptableShapes(config).keys()];
  if (targets === "all-linear") return names;
  const meant = targets.map((target) => {
    const found = names.filter((name) => `.${name}`.endsWith(`.${target}.weight`));
    if (found.length > 0) return new Set(found);
    const modules = withoutNumbers(names.map((name) => name.replace(/\.weight$/, "")));
    throw new ModelError(`${target} is no projection of the model that LoRA can adapt`, {
      field: "lora.target_modules",
      hint: `Those are ${modules.join(", ")}; the end of a name will do.`,
    });
  });
  return names.filter((name) => meant.some((found) => found.has(name)));
}

/** Adapters that change nothing yet, for the projections that `targets` mean; `seed` decides their first values. */
export function createAdapters(
  { config, parameters }: Decoder,
  targets: TargetModules,
  settings: LoraSettings,
  seed: number,
): Adapters {
  const random = generator(seed);
  return new Map(
    adaptedNames(config, targets).map((name, site) => [
      name,
      createAdapter(parameters.get(name)!, settings, random, site),
    ]),
  );
}

/** Puts the adapted weights in the place of the weights, which are freed. */
export function mergeAdapters(parameters: Map<string, Tensor>, adapters: Adapters): void {
  for (const [name, adapter] of adapters) {
    const weight = parameters.get(name)!;
    parameters.set(name, merged(adapter, weight));
    weight.dispose();
  }
}

/** Frees the tensors of adapters. */
export function disposeAdapters(adapters: Adapters): void {
  for (const { a, b, magnitude } of adapters.values()) for (const tensor of [a, b, magnitude]) tensor?.dispose();
}

/** Runs `use` with a model whose adapters' sums with their weights are at hand. `use` must not change the adapters. */
export async function usingSums<Result>(model: Decoder, use: (model: Decoder) => Promise<Result>): Promise<Result> {
  const adapters = withSums(model.adapters ?? new Map(), model.parameters);
  try {
    return await use({ ...model, adapters });
  } finally {
    for (const { sum } of adapters.values()) sum?.dispose();
  }
}
