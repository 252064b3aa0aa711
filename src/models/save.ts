import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { syncFolder, writeSafetensors } from "../nn/index.ts";
import type { DType } from "../torch/index.ts";
import type { LoadedModel } from "./load.ts";

const torchNames: Partial<Record<DType, string>> = { float32: "float32", bfloat16: "bfloat16", float16: "float16" };

/** Fields that `transformers` takes as floats only: JavaScript reads 30.0 and writes 30. */
const floats = /("(?:(?:attn|final)_logit_softcapping|router_jitter_noise|router_aux_loss_coef)": \d+)(?=,?$)/gm;

/**
 * Writes a model as a Hugging Face folder that `transformers` opens: config, weights as safetensors, tokenizer, chat
 * template and model card. The folder appears whole or not at all; one that is there already is replaced.
 *
 * @param more writes further files into the folder that it is given, before it takes its place.
 * @throws EnvironmentError when the disk is full.
 */
export function saveModel(
  folder: string,
  model: LoadedModel,
  card: string,
  more: (folder: string) => void = () => {},
): void {
  const partial = `${folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const dtype = model.decoder.parameters.get("model.embed_tokens.weight")!.dtype;
  // transformers 5 calls it dtype and prefers that to the older name, whatever type the weights have.
  const { dtype: _, ...fields } = model.config;
  const config = { ...fields, torch_dtype: torchNames[dtype] ?? dtype };
  const text = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  const { eosId, bosId, padId, stopIds } = model.tokenizer;
  const generation = {
    ...(bosId === undefined ? {} : { bos_token_id: bosId }),
    eos_token_id: stopIds.length > 0 ? stopIds : eosId,
    ...(padId === undefined ? {} : { pad_token_id: padId }),
  };
  const files = {
    "config.json": text(config).replace(floats, "$1.0"),
    "generation_config.json": text(generation),
    "README.md": card,
    ...model.tokenizer.files(),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(partial, name), content, { flush: true });
  writeSafetensors(partial, model.decoder.parameters);
  more(partial);
  const old = `${folder}.old`;
  rmSync(old, { recursive: true, force: true });
  try {
    renameSync(folder, old);
  } catch {
    // There was none.
  }
  syncFolder(partial);
  renameSync(partial, folder);
  syncFolder(dirname(folder));
  rmSync(old, { recursive: true, force: true });
}
