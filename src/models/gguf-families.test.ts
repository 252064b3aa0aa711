import { describe, expect, test } from "vitest";
import { ops, type Tensor, tensor } from "../torch/index.ts";
import type { LayerKind } from "./config.ts";
import type { Decoder } from "./decoder.ts";
import { loadFiles, readModelFiles } from "./load.ts";
import { type Metadata, writeGguf } from "./testing/tiny-gguf.ts";
import { tinyModel } from "./testing/tiny-model.ts";

const read = (file: string) => readModelFiles(file, "tiny");
const load = async (file: string) => loadFiles(await read(file), { precision: "fp32", device: "cpu" });

const expectSame = (got: Decoder, wanted: Decoder, tolerance = 0): void => {
  expect(got.config).toEqual(wanted.config);
  for (const [name, weight] of wanted.parameters)
    expect(ops.allclose(weight, got.parameters.get(name)!, 0, tolerance), name).toBe(true);
};

test("Qwen3: heads of their own size, and their norms", async () => {
  const { decoder } = await tinyModel("qwen3");
  const metadata: Metadata = [["qwen3.attention.key_length", "uint32", 16]];
  expectSame((await load(writeGguf(decoder, "qwen3", { metadata }))).decoder, decoder);
});

describe("Gemma 2", () => {
  const metadata: Metadata = [
    ["gemma2.attention.key_length", "uint32", 16],
    ["gemma2.attention.sliding_window", "uint32", 8],
    ["gemma2.attn_logit_softcapping", "float32", 2],
    ["gemma2.final_logit_softcapping", "float32", 3],
  ];
  const scaledBy = ({ config, parameters }: Decoder, scalar: number): Decoder => ({
    parameters,
    config: { ...config, attentionScale: scalar ** -0.5 },
  });

  test("norms around the blocks, stored whole; windows and caps from the metadata", async () => {
    const { decoder } = await tinyModel("gemma2");
    const again = await load(writeGguf(decoder, "gemma2", { metadata }));
    expectSame(again.decoder, scaledBy(decoder, 16), 1e-6);
    expect(again.config).toMatchObject({ attn_logit_softcapping: 2, final_logit_softcapping: 3 });
  });

  test("the model of 46 layers scales by width over heads, the others by the size of their heads", async () => {
    const { decoder } = await tinyModel("gemma2");
    const { parameters, config } = decoder;
    const layers = Array.from({ length: 46 }, (_, index) => config.layers[index % 2]!);
    const repeated = [...parameters].flatMap(([name, weight]): [string, Tensor][] => {
      const part = /^model\.layers\.0\.(.+)$/.exec(name)?.[1];
      if (part === undefined) return name.startsWith("model.layers.") ? [] : [[name, weight]];
      return layers.map((_, index) => [`model.layers.${index}.${part}`, weight]);
    });
    const large = { config: { ...config, layers }, parameters: new Map(repeated) };
    const again = await read(writeGguf(large, "gemma2", { metadata }));
    expect(again.decoderConfig.attentionScale).toBeCloseTo((32 / 4) ** -0.5, 12);
  });
});

describe("Phi-3", () => {
  const short = tensor([1.1, 1.7]);
  const long = tensor([2, 5]);
  const amplitude = Math.sqrt(1 + Math.log(2) / Math.log(128));
  const keys: Metadata = [
    ["phi3.rope.dimension_count", "uint32", 4],
    ["phi3.rope.scaling.original_context_length", "uint32", 128],
    ["phi3.attention.sliding_window", "uint32", 12],
  ];
  const written = async (metadata: Metadata, factors: [string, Tensor][]) => {
    const { decoder } = await tinyModel("phi3");
    // The config's own limit is that of its rotation; the file says the one that it is stretched to.
    const stretched = { ...decoder, config: { ...decoder.config, maxPositions: 256 } };
    return writeGguf(stretched, "phi3", { metadata, tensors: (given) => [...given, ...factors] });
  };
  const both: [string, Tensor][] = [
    ["rope_factors_short.weight", short],
    ["rope_factors_long.weight", long],
  ];

  test("fused projections, a part of each head rotated, LongRoPE's factors", async () => {
    const factor: Metadata = [["phi3.rope.scaling.attn_factor", "float32", amplitude]];
    const again = await load(await written([...keys, ...factor], both));
    expectSame(again.decoder, (await tinyModel("phi3")).decoder);
    expect(again.config).toMatchObject({
      partial_rotary_factor: 0.5,
      sliding_window: 12,
      rope_scaling: { type: "longrope", short_factor: [1.1, 1.7], long_factor: [2, 5] },
    });
  });

  test("a window of 0 is none", async () => {
    const none: Metadata = [["phi3.attention.sliding_window", "uint32", 0]];
    const again = await read(await written([...keys.slice(0, 2), ...none], both));
    expect(again.decoderConfig.layers.map(({ window }) => window)).toEqual([null, null]);
  });

  test("a stretched context without factors, a factor of another rotation and Llama's factors are refused", async () => {
    await expect(written(keys, both.slice(0, 1)).then(read)).rejects.toThrow(/factors are missing/);
    const foreign: Metadata = [["phi3.rope.scaling.attn_factor", "float32", 1.19]];
    await expect(written([...keys, ...foreign], both).then(read)).rejects.toThrow(
      /is 1\.19\d*, LongRoPE would have 1\.06/,
    );
    await expect(written(keys, [...both, ["rope_freqs.weight", short]]).then(read)).rejects.toThrow(/doesn't use/);
  });
});

test("SmolLM3: interleaved like Llama, every fourth layer without rotation", async () => {
  const { decoder } = await tinyModel("smollm3");
  const { config, parameters } = decoder;
  const [turning, still] = config.layers as [LayerKind, LayerKind];
  const fourth = [...parameters]
    .filter(([name]) => name.startsWith("model.layers.0."))
    .map(([name, weight]) => [name.replace(".0.", ".3."), weight] as const);
  const four = {
    config: { ...config, layers: [turning, turning, turning, still] },
    parameters: new Map([...parameters, ...fourth]),
  };
  expectSame((await load(writeGguf(four, "smollm3"))).decoder, four);
});

test("InternLM2: interleaved like Llama, and known as Llama from then on", async () => {
  const { decoder } = await tinyModel("internlm2");
  const plain = { theta: 50_000, scaling: { kind: "none" } } as const;
  const layers = decoder.config.layers.map((layer) => ({ ...layer, rope: plain }));
  const again = await load(writeGguf(decoder, "internlm2"));
  expectSame(again.decoder, { ...decoder, config: { ...decoder.config, layers } });
  expect(again.config).toMatchObject({ model_type: "llama", architectures: ["LlamaForCausalLM"] });
});

test("OLMo 2: norms after the blocks and over all heads; OLMo 3, which bears its name, is refused", async () => {
  const { decoder } = await tinyModel("olmo2");
  expectSame((await load(writeGguf(decoder, "olmo2"))).decoder, decoder);
  const metadata: Metadata = [["olmo2.attention.sliding_window", "uint32", 4096]];
  await expect(read(writeGguf(decoder, "olmo2", { metadata }))).rejects.toMatchObject({
    message: expect.stringContaining("OLMo 3 is not known here"),
    place: { field: "attention.sliding_window" },
  });
});
