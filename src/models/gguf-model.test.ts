import { expect, test } from "vitest";
import { ModelError } from "../schema/index.ts";
import { ops, type Tensor, tensor } from "../torch/index.ts";
import type { Decoder } from "./decoder.ts";
import { loadFiles, readModelFiles } from "./load.ts";
import { frequencies } from "./rope.ts";
import { type Change, type Metadata, writeGguf } from "./testing/tiny-gguf.ts";
import { type TinyFamily, tinyModel } from "./testing/tiny-model.ts";

const read = (file: string) => readModelFiles(file, "tiny");
const load = async (file: string) => loadFiles(await read(file), { precision: "fp32", device: "cpu" });
const unstretched = async (family: TinyFamily, theta?: number): Promise<Decoder> => {
  const { decoder } = await tinyModel(family);
  const layers = decoder.config.layers.map(({ rope, window }) => ({
    window,
    rope: { theta: theta ?? rope!.theta, scaling: { kind: "none" } as const },
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
  expect(files.decoderConfig.layers[0]!.rope?.scaling).toEqual(llama3);
  expect(files.weights("float32").size).toBe(decoder.parameters.size);
});

test("linear scaling is read, other kinds and foreign factors are refused", async () => {
  const decoder = await unstretched("llama");
  const scaled = (type: string): Metadata => [
    ["llama.rope.scaling.type", "string", type],
    ["llama.rope.scaling.factor", "float32", 4],
  ];
  const linear = await read(writeGguf(decoder, "llama", { metadata: scaled("linear") }));
  expect(linear.decoderConfig.layers[0]!.rope?.scaling).toEqual({ kind: "linear", factor: 4 });
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
