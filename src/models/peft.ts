import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import {
  type Adapter,
  type Adapters,
  adapterTensors,
  type LoraSettings,
  loraScale,
  openSafetensors,
  writeSafetensorsFile,
} from "../nn/index.ts";
import { ModelError } from "../schema/index.ts";
import { noGrad, scope, type Tensor } from "../torch/index.ts";
import { adaptableShapes } from "./adapters.ts";
import type { DecoderConfig } from "./config.ts";

const configName = "adapter_config.json";
const weightsName = "adapter_model.safetensors";
const prefix = "base_model.model.";

/** The files of an adapter that decide its answers. */
export const adapterFiles = (folder: string): string[] => [join(folder, configName), join(folder, weightsName)];

/** Whether a folder is an adapter and not a model. */
export const isAdapterFolder = (folder: string): boolean =>
  existsSync(join(folder, configName)) && !existsSync(join(folder, "config.json"));

const none = z.union([z.null(), z.array(z.unknown()).max(0), z.record(z.string(), z.never())]).optional();
const off = z.literal([false, null]).optional();

/** What PEFT can say beyond this would change the answers: it is refused. */
const configSchema = z.looseObject({
  peft_type: z.literal("LORA"),
  base_model_name_or_path: z.string().min(1).nullish(),
  r: z.int().min(1),
  lora_alpha: z.number(),
  use_rslora: z.boolean().default(false),
  use_dora: z.boolean().default(false),
  bias: z.literal("none").default("none"),
  /** Others change the base's weights. */
  init_lora_weights: z.literal([true, false, "gaussian", "eva", "orthogonal"]).default(true),
  fan_in_fan_out: off,
  lora_bias: off,
  use_qalora: off,
  use_bdlora: none,
  kasa_config: none,
  arrow_config: none,
  velora_config: none,
  monteclora_config: none,
  alora_invocation_tokens: none,
  rank_pattern: none,
  alpha_pattern: none,
  modules_to_save: none,
  trainable_token_indices: none,
  target_parameters: none,
  layer_replication: none,
});

export type PeftConfig = z.infer<typeof configSchema>;

/** Reads `adapter_config.json`. @throws ModelError for what is no LoRA, or a LoRA with parts that are not known here. */
export function readPeftConfig(folder: string): PeftConfig {
  const file = join(folder, configName);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new ModelError("the adapter's config is no readable JSON", {
      file,
      cause,
      hint: `An adapter is a folder with ${configName} and ${weightsName}, as PEFT writes it.`,
    });
  }
  const parsed = configSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new ModelError(`this kind of adapter is not known here: ${message}`, {
    file,
    field: path.join("."),
    hint: "Plain LoRA, rsLoRA and DoRA of projections are. Merge the adapter into its base with PEFT, and name that folder.",
  });
}

/**
 * The adapters of a folder that PEFT wrote, in float32, for a model of this config.
 *
 * @throws ModelError for what is no such folder, or of another model.
 */
export function readAdapters(folder: string, config: DecoderConfig): Adapters {
  const { r: rank, lora_alpha: alpha, use_rslora: rslora, use_dora: dora } = readPeftConfig(folder);
  const file = join(folder, weightsName);
  if (!existsSync(file))
    throw new ModelError(`the adapter has no ${weightsName}`, { file: folder, hint: "Pickles (.bin) are never read." });
  const shapes = adaptableShapes(config);
  const parts = ["lora_A.weight", "lora_B.weight", ...(dora ? ["lora_magnitude_vector"] : [])];
  return noGrad(() =>
    scope(() => {
      const { tensors: stored } = openSafetensors(file);
      const modules = new Map<string, Map<string, Tensor>>();
      for (const [key, tensor] of stored) {
        const [, module, part] = /^base_model\.model\.(.+)\.(lora_.+)$/.exec(key) ?? [];
        if (module === undefined || part === undefined || !parts.includes(part) || !shapes.has(`${module}.weight`))
          throw new ModelError("the model has nothing that this part of the adapter could adapt", {
            file,
            field: key,
            hint: "The adapter belongs to another model, or adapts embeddings, the output matrix or experts, which is not known here.",
          });
        const own = modules.get(module) ?? new Map<string, Tensor>();
        modules.set(module, own.set(part, tensor.to("float32")));
      }
      const scale = loraScale({ rank, alpha, rslora });
      const adapter = (module: string, own: ReadonlyMap<string, Tensor>): Adapter => {
        const [out, inputs] = shapes.get(`${module}.weight`) as [number, number];
        const take = (part: string, shape: readonly number[]): Tensor => {
          const found = own.get(part);
          const shown = found === undefined ? "is missing" : `has shape [${found.shape.join(", ")}]`;
          if (found?.shape.join() !== shape.join())
            throw new ModelError(`${shown}, and should have [${shape.join(", ")}]`, {
              file,
              field: `${prefix}${module}.${part}`,
              hint: "The adapter belongs to another model, or its files to different versions.",
            });
          // Copies: the mapped file may be replaced while the model is in use.
          return found.clone();
        };
        return {
          a: take("lora_A.weight", [rank, inputs]),
          b: take("lora_B.weight", [out, rank]),
          magnitude: dora ? take("lora_magnitude_vector", [out]) : null,
          ...{ scale, dropout: 0, site: 0 },
        };
      };
      // In the model's order, whatever the file's.
      return new Map(
        [...shapes.keys()].flatMap((name) => {
          const module = name.replace(/\.weight$/, "");
          const own = modules.get(module);
          return own === undefined ? [] : [[name, adapter(module, own)] as const];
        }),
      );
    }),
  );
}

/** Writes adapters into a folder as PEFT does; `base` is what it is to say of the model that they adapt. */
export function writeAdapters(folder: string, adapters: Adapters, settings: LoraSettings, base: string): void {
  const config = {
    ...{ peft_type: "LORA", task_type: "CAUSAL_LM", base_model_name_or_path: base, inference_mode: true },
    ...{ r: settings.rank, lora_alpha: settings.alpha, lora_dropout: settings.dropout },
    ...{ use_rslora: settings.rslora, use_dora: settings.dora, bias: "none", fan_in_fan_out: false },
    target_modules: [...adapters.keys()].map((name) => name.replace(/\.weight$/, "")),
  };
  writeFileSync(join(folder, configName), `${JSON.stringify(config, null, 2)}\n`);
  const tensors = [...adapterTensors(adapters)].map(([name, tensor]) => [`${prefix}${name}`, tensor] as const);
  writeSafetensorsFile(join(folder, weightsName), new Map(tensors));
}
