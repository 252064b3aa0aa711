import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Tokenizer, tokenizerFromGguf } from "../../tokenizers/index.ts";
import { byteLevelMetadata } from "../../tokenizers/testing/synthetic.ts";
import type { DType } from "../../torch/index.ts";
import type { Decoder } from "../decoder.ts";
import { type LoadedModel, loadFiles, readModelFiles } from "../load.ts";

export const tinyFamilies = [
  "llama",
  "mistral",
  "mixtral",
  "qwen2",
  "qwen3",
  "gemma2",
  "gemma3",
  "phi3",
  "smollm3",
  "olmo2",
  "qwen2-long",
  "gemma3-multimodal",
  "internlm2",
] as const;
export type TinyFamily = (typeof tinyFamilies)[number];

/** What transformers computes with a tiny model: made by bench/fixtures/models_truth.py. */
export interface TinyFigures {
  readonly bundles: readonly {
    readonly prompt: number[];
    readonly responses: readonly { readonly ids: number[]; readonly logps: number[] }[];
  }[];
  /** Of minus the mean log-prob of all response tokens, by weight: the norm, and the values at some places. */
  readonly gradients: Readonly<Record<string, { norm: number; places: number[]; values: number[] }>>;
  readonly greedy: readonly { readonly prompt: number[]; readonly ids: number[] }[];
}

const fixture = (name: string): URL => new URL(`../fixtures/${name}`, import.meta.url);

export const tinyFigures = (family: TinyFamily): TinyFigures =>
  JSON.parse(readFileSync(fixture(`tiny-${family}.json`), "utf8")) as TinyFigures;

/** Where tests keep their tiny models: removed when all tests are over. */
const scratch = process.env.AMALGAM_TEST_SCRATCH ?? tmpdir();

let tokenizerFiles: ReturnType<Tokenizer["files"]> | undefined;

/** A Hugging Face folder of a random model with two or three layers and a vocabulary of 320, in a temporary place. */
export function tinyFolder(family: TinyFamily): string {
  const folder = mkdtempSync(join(scratch, `${family}-`));
  cpSync(fixture(`tiny-${family}`), folder, { recursive: true });
  tokenizerFiles ??= tokenizerFromGguf(byteLevelMetadata("qwen2"), "synthetic").files();
  for (const [name, text] of Object.entries(tokenizerFiles)) writeFileSync(join(folder, name), text);
  return folder;
}

/** The same, loaded in float32. */
export async function tinyModel(family: TinyFamily): Promise<LoadedModel> {
  return loadFiles(await readModelFiles(tinyFolder(family), `tiny-${family}`), { precision: "fp32", device: "cpu" });
}

/** A copy of a decoder with its weights in another type. */
export function decoderIn({ config, parameters }: Decoder, dtype: DType): Decoder {
  return {
    config,
    parameters: new Map([...parameters].map(([name, weight]) => [name, weight.clone().to(dtype)])),
  };
}
