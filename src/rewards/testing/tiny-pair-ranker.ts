import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encoderPrefix } from "../../models/index.ts";
import { writeSafetensorsFile } from "../../nn/index.ts";
import type { Message } from "../../schema/index.ts";
import { tensor } from "../../torch/index.ts";

interface Variant {
  readonly config: Readonly<Record<string, unknown>>;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Of each prompt: the logit of each candidate (row) standing before each other one, and LLM-Blender's scores. */
  readonly logits: readonly (readonly (readonly number[])[])[];
  readonly scores: readonly (readonly number[])[];
}

/** Figures of PairRM's own code: made by bench/fixtures/pairrm_truth.py. */
interface PairRankerTruth {
  readonly prompts: readonly Message[][];
  readonly responses: readonly string[][];
  /** Of each prompt, for each pair of candidates in this order, the whole input. */
  readonly ids: readonly (readonly number[])[][];
  readonly cut: {
    readonly scores: readonly number[];
    readonly ids: readonly (readonly number[])[];
    readonly source_max_length: number;
    readonly candidate_max_length: number;
  };
  readonly variants: Readonly<Record<string, Variant>>;
}

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export const pairRankerTruth = (): PairRankerTruth =>
  JSON.parse(readFileSync(file("../fixtures/pairrm.json"), "utf8")) as PairRankerTruth;

/** The weights that pairrm_truth.py gave the model. */
function sines(name: string, shape: readonly number[], seed: number) {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Array.from({ length: count }, (_, k) => Math.fround(Math.sin(k * 0.7 + seed) * 0.6));
  if (name.endsWith("LayerNorm.weight"))
    return tensor(
      values.map((value) => Math.abs(value) + 0.5),
      shape,
    );
  return tensor(name.startsWith("head_layer.1") ? values.map((value) => value * 3) : values, shape);
}

/** A new folder of a tiny PairRM of one of the fixture's variants; with other fields in config.json, or without some weights. */
export function pairRankerFolder(
  name: string,
  fields: Readonly<Record<string, unknown>> = {},
  but: readonly string[] = [],
): string {
  const folder = mkdtempSync(join(tmpdir(), "amalgam-pairrm-"));
  const { config, shapes } = pairRankerTruth().variants[name]!;
  cpSync(file("../../tokenizers/fixtures/unigram-tokenizer.json"), join(folder, "tokenizer.json"));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ cls_token: "[CLS]", sep_token: "[SEP]" }));
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, ...fields }));
  const weights = Object.entries(shapes).map(([key, shape], seed) => [key, sines(key, shape, seed)] as const);
  // As older releases of transformers stored it.
  const positions = [`${encoderPrefix}embeddings.position_ids`, tensor([0, 1], [1, 2], "int64")] as const;
  writeSafetensorsFile(
    join(folder, "model.safetensors"),
    new Map([...weights, positions].filter(([key]) => !but.includes(key))),
  );
  return folder;
}
