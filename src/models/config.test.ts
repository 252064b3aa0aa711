import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { familyOfConfig } from "./families/index.ts";
import { readModelFiles } from "./load.ts";
import { type TinyFamily, tinyFolder } from "./testing/tiny-model.ts";

type Config = Record<string, unknown>;

/** A tiny folder with a changed config. */
function folderWith(change: (config: Config) => Config, family: TinyFamily): string {
  const folder = tinyFolder(family);
  const file = join(folder, "config.json");
  writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, "utf8")) as Config)));
  return folder;
}

describe("configs as older transformers wrote them", () => {
  const theta = { rope_theta: 10_000 };
  const llama3 = {
    rope_type: "llama3",
    factor: 4,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 64,
  };
  const longrope = { type: "longrope", short_factor: [1.1, 1.7], long_factor: [2, 5] };
  test.each([
    ["llama", { ...theta, rope_scaling: llama3 }],
    ["mistral", theta],
    ["mixtral", { rope_theta: 1e6, rope_scaling: null }],
    ["qwen2", { rope_theta: 1e6, rope_scaling: null }],
    ["qwen3", { rope_theta: 1e6, rope_scaling: null }],
    ["gemma2", theta],
    ["phi3", { ...theta, partial_rotary_factor: 0.5, rope_scaling: longrope }],
    ["smollm3", { rope_theta: 2e6, rope_scaling: null }],
    ["olmo2", { ...theta, rope_scaling: null }],
    ["gemma3", { rope_theta: 1e6, rope_local_base_freq: 10_000, rope_scaling: null }],
  ] as const)("%s", async (family, fields) => {
    const old = folderWith(({ rope_parameters: _, ...config }) => ({ ...config, ...fields }), family);
    const [before, now] = [await readModelFiles(old, "old"), await readModelFiles(tinyFolder(family), "new")];
    expect(before.decoderConfig).toEqual(now.decoderConfig);
  });

  test("Gemma 3 without layer_types has a full layer after every five", async () => {
    const { layer_types: _, ...config } = (await readModelFiles(tinyFolder("gemma3"), "tiny")).config;
    const { layers } = familyOfConfig(config.model_type, "tiny").parse({ ...config, num_hidden_layers: 12 });
    expect(layers.map(({ window }) => window)).toEqual([8, 8, 8, 8, 8, null, 8, 8, 8, 8, 8, null]);
  });

  test("Gemma 2 without layer_types has windows in every other layer, the first one among them", async () => {
    const { layer_types: _, ...config } = (await readModelFiles(tinyFolder("gemma2"), "tiny")).config;
    const { layers } = familyOfConfig(config.model_type, "tiny").parse({ ...config, num_hidden_layers: 4 });
    expect(layers.map(({ window }) => window)).toEqual([8, null, 8, null]);
  });

  test("SmolLM3 without no_rope_layers has no rotation in every fourth layer", async () => {
    const { no_rope_layers: _, ...config } = (await readModelFiles(tinyFolder("smollm3"), "tiny")).config;
    const { layers } = familyOfConfig(config.model_type, "tiny").parse({ ...config, num_hidden_layers: 8 });
    expect(layers.map(({ rope }) => rope !== null)).toEqual([true, true, true, false, true, true, true, false]);
  });

  test("Mistral without sliding_window has that of its first model, and none where it is null", async () => {
    const { sliding_window: _, ...config } = (await readModelFiles(tinyFolder("mistral"), "tiny")).config;
    const { parse } = familyOfConfig(config.model_type, "tiny");
    expect(parse(config).layers.map(({ window }) => window)).toEqual([4096, 4096]);
    expect(parse({ ...config, sliding_window: null }).layers.map(({ window }) => window)).toEqual([null, null]);
  });
});

test("a multimodal Gemma 3 says of its language model only what the class would not have", async () => {
  const { text_config: text } = JSON.parse(
    readFileSync(join(tinyFolder("gemma3-multimodal"), "config.json"), "utf8"),
  ) as { text_config: Config };
  const published = {
    model_type: "gemma3",
    text_config: {
      ...{ hidden_size: 2560, intermediate_size: 10240, num_hidden_layers: 34, sliding_window: 1024 },
      rope_scaling: { factor: 8, rope_type: "linear" },
    },
  };
  const { parse } = familyOfConfig("gemma3", "config.json");
  const [local, , , , , global] = parse(published).layers;
  expect(parse(published)).toMatchObject({
    ...{ heads: 8, keyValueHeads: 4, headDim: 256, vocabularySize: 262_208, maxPositions: 131_072, tied: true },
    ...{ queryKeyNorm: "head", attentionScale: 1 / 16, normEpsilon: 1e-6 },
  });
  expect(local).toEqual({ rope: { theta: 10_000, scaling: { kind: "none" } }, window: 1024 });
  expect(global).toEqual({ rope: { theta: 1_000_000, scaling: { kind: "linear", factor: 8 } }, window: null });
  expect(text.model_type).toBe("gemma3_text");
});
