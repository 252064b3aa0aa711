import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ModelError } from "../schema/index.ts";
import { byteLevelMetadata } from "../tokenizers/testing/synthetic.ts";
import { ops, type Tensor, tensor } from "../torch/index.ts";
import type { Decoder } from "./decoder.ts";
import { loadFiles, readModelFiles } from "./load.ts";
import { frequencies } from "./rope.ts";
import { type GgufValueType, ggufFile } from "./testing/gguf-writer.ts";
import { type TinyFamily, tinyModel } from "./testing/tiny-model.ts";

type Metadata = [key: string, type: GgufValueType, value: unknown][];
const float32Type = 0;

/** llama.cpp's order of rotary dimensions: each head's two halves interleaved. */
function interleaved(weight: Tensor, heads: number): Tensor {
  const [rows, columns] = weight.shape as [number, number];
  const half = rows / heads / 2;
  const order = Array.from({ length: rows }, (_, row) => {
    const [head, within] = [Math.floor(row / (2 * half)), row % (2 * half)];
    return head * 2 * half + (within % 2) * half + Math.floor(within / 2);
  });
  return ops.stack(order.map((row) => weight.select(0, row))).view([rows, columns]);
}

const parts: Readonly<Record<string, string>> = {
  "input_layernorm.weight": "attn_norm.weight",
  "post_attention_layernorm.weight": "ffn_norm.weight",
  "mlp.gate_proj.weight": "ffn_gate.weight",
  "mlp.up_proj.weight": "ffn_up.weight",
  "mlp.down_proj.weight": "ffn_down.weight",
  "self_attn.o_proj.weight": "attn_output.weight",
  ...Object.fromEntries(
    ["q", "k", "v"].flatMap((n) =>
      ["weight", "bias"].map((kind) => [`self_attn.${n}_proj.${kind}`, `attn_${n}.${kind}`]),
    ),
  ),
};

function ggufTensors({ config, parameters }: Decoder, family: TinyFamily): [name: string, weight: Tensor][] {
  return [...parameters].map(([name, weight]) => {
    const [, layer, part = ""] = /^model\.layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    if (layer === undefined) {
      const whole = { "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight" };
      return [whole[name as keyof typeof whole] ?? "output.weight", weight];
    }
    const turned = family === "llama" && /[qk]_proj/.test(part);
    const heads = part.includes("q_proj") ? config.heads : config.keyValueHeads;
    return [`blk.${layer}.${parts[part]}`, turned ? interleaved(weight, heads) : weight];
  });
}

const tokenizerMetadata = (): Metadata =>
  [...byteLevelMetadata("qwen2")]
    .filter(([key]) => key !== "general.architecture")
    .map(([key, value]): Metadata[number] => {
      if (typeof value === "string") return [key, "string", value];
      if (typeof value === "number") return [key, "uint32", value];
      return value instanceof Int32Array ? [key, ["int32"], [...value]] : [key, ["string"], value];
    });

interface Change {
  readonly metadata?: Metadata;
  readonly tensors?: (given: [string, Tensor][]) => [string, Tensor][];
}

/** A tiny model as a GGUF file. */
function writeGguf(decoder: Decoder, family: TinyFamily, { metadata = [], tensors = (t) => t }: Change = {}): string {
  const { config } = decoder;
  const own = (key: string) => `${family}.${key}`;
  const file = join(mkdtempSync(join(tmpdir(), "amalgam-gguf-model-")), "model.gguf");
  const entries: Metadata = [
    ["general.architecture", "string", family],
    [own("block_count"), "uint32", config.layers.length],
    [own("context_length"), "uint32", config.maxPositions],
    [own("embedding_length"), "uint32", config.hiddenSize],
    [own("feed_forward_length"), "uint32", config.intermediateSize],
    [own("attention.head_count"), "uint32", config.heads],
    [own("attention.head_count_kv"), "uint32", config.keyValueHeads],
    [own("attention.layer_norm_rms_epsilon"), "float32", config.normEpsilon],
    [own("rope.freq_base"), "float32", config.layers[0]!.rope.theta],
    ...tokenizerMetadata(),
    ...metadata,
  ];
  const stored = tensors(ggufTensors(decoder, family)).map(([name, weight]) => ({
    name,
    type: float32Type,
    shape: weight.shape,
    data: new Uint8Array(weight.contiguous().bytes()),
  }));
  writeFileSync(file, ggufFile({ metadata: entries, tensors: stored }));
  return file;
}

const read = (file: string) => readModelFiles(file, "tiny");
const load = async (file: string) => loadFiles(await read(file), { precision: "fp32", device: "cpu" });
const unstretched = async (family: TinyFamily, theta?: number): Promise<Decoder> => {
  const { decoder } = await tinyModel(family);
  const layers = decoder.config.layers.map(({ rope, window }) => ({
    window,
    rope: { theta: theta ?? rope.theta, scaling: { kind: "none" } as const },
  }));
  return { ...decoder, config: { ...decoder.config, layers } };
};

test.each(["llama", "qwen2"] as const)("%s: a GGUF file holds the same model as the folder", async (family) => {
  const decoder = await unstretched(family);
  const again = await load(writeGguf(decoder, family));
  expect(again.decoder.config).toEqual(decoder.config);
  for (const [name, weight] of decoder.parameters)
    expect(ops.equal(weight, again.decoder.parameters.get(name)!), name).toBe(true);
});

const llama3 = {
  kind: "llama3",
  factor: 32,
  lowFrequencyFactor: 1,
  highFrequencyFactor: 4,
  originalPositions: 8192,
} as const;
const factorsOf = (theta: number, headDim: number): number[] => {
  const stretched = frequencies({ theta, scaling: llama3 }, headDim);
  return frequencies({ theta, scaling: { kind: "none" } }, headDim).map((f, k) => f / stretched[k]!);
};

test("the factors of Llama 3.1's rotation are read back as the settings that they follow from", async () => {
  const theta = 500_000;
  const decoder = await unstretched("llama", theta);
  const factors = tensor(factorsOf(theta, decoder.config.headDim));
  const file = writeGguf(decoder, "llama", { tensors: (given) => [...given, ["rope_freqs.weight", factors]] });
  const files = await read(file);
  expect(files.decoderConfig.layers[0]!.rope.scaling).toEqual(llama3);
  expect(files.weights("float32").size).toBe(decoder.parameters.size);
});

test("linear scaling is read, other kinds and foreign factors are refused", async () => {
  const decoder = await unstretched("llama");
  const scaled = (type: string): Metadata => [
    ["llama.rope.scaling.type", "string", type],
    ["llama.rope.scaling.factor", "float32", 4],
  ];
  const linear = await read(writeGguf(decoder, "llama", { metadata: scaled("linear") }));
  expect(linear.decoderConfig.layers[0]!.rope.scaling).toEqual({ kind: "linear", factor: 4 });
  expect((await read(writeGguf(decoder, "llama", { metadata: scaled("none") }))).decoderConfig).toEqual(decoder.config);
  await expect(read(writeGguf(decoder, "llama", { metadata: scaled("yarn") }))).rejects.toThrow(
    /unknown rotation yarn/,
  );
  const foreign: Change = { tensors: (given) => [...given, ["rope_freqs.weight", tensor([1, 2, 3, 4])]] };
  await expect(read(writeGguf(decoder, "llama", foreign))).rejects.toThrow(/not those of Llama 3.1/);
});

test.each([
  [
    "lacks a weight",
    (t: [string, Tensor][]) => t.filter(([name]) => name !== "blk.1.ffn_up.weight"),
    /lacks the weight/,
  ],
  [
    "has a weight of another shape",
    (t: [string, Tensor][]) =>
      t.map(([n, w]): [string, Tensor] => [n, n === "output_norm.weight" ? ops.ones([33]) : w]),
    /\[33\], the metadata ask for \[32\]/,
  ],
  [
    "has a weight that its architecture doesn't use",
    (t: [string, Tensor][]): [string, Tensor][] => [...t, ["blk.0.attn_q.bias", ops.ones([32])]],
    /doesn't use/,
  ],
])("a file that %s is a ModelError with its place", async (_, tensors, says) => {
  const file = writeGguf(await unstretched("llama"), "llama", { tensors });
  const error = await load(file).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ModelError);
  expect((error as ModelError).place.file).toBe(file);
  expect((error as ModelError).place.field).toBeDefined();
  expect((error as ModelError).message).toMatch(says);
});

test("an unknown architecture, and metadata that lack or mistype a key", async () => {
  const decoder = await unstretched("llama");
  const error = async (metadata: Metadata): Promise<ModelError> =>
    read(writeGguf(decoder, "llama", { metadata })).then(
      () => new ModelError("none"),
      (reason: ModelError) => reason,
    );
  await expect(read(writeGguf(decoder, "mamba" as TinyFamily))).rejects.toThrow(/unknown general.architecture "mamba"/);
  expect((await error([["llama.attention.key_length", "string", "8"]])).place.field).toBe("llama.attention.key_length");
  const odd = (change: Partial<Decoder["config"]>) => ({ ...decoder, config: { ...decoder.config, ...change } });
  const { layers } = decoder.config;
  for (const family of ["qwen2", "gemma3"] as const) {
    const window: Metadata = [[`${family}.attention.sliding_window`, "uint32", 8]];
    const refused = (change: Partial<Decoder["config"]>) =>
      expect(read(writeGguf(odd(change), family, { metadata: window }))).rejects;
    await refused({ heads: 0 }).toMatchObject({
      name: "ModelError",
      place: { field: expect.stringMatching(/head/) },
      hint: expect.stringContaining("The metadata are damaged"),
    });
    await refused({ layers: Object.assign([layers[0]!], { length: 0xffff_ffff }) }).toMatchObject({
      name: "ModelError",
      place: { field: "num_hidden_layers" },
    });
  }
  await expect(read(writeGguf(decoder, "gemma3"))).rejects.toMatchObject({
    place: { field: "gemma3.attention.sliding_window" },
  });
});
