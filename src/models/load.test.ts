import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSafetensors, writeSafetensorsFile } from "../nn/index.ts";
import { describeError, EnvironmentError, ModelError } from "../schema/index.ts";
import { ops, type Tensor } from "../torch/index.ts";
import { loadFiles, readModelFiles } from "./load.ts";
import { type TinyFamily, tinyFamilies, tinyFolder } from "./testing/tiny-model.ts";

type Config = Record<string, unknown>;

/** A tiny folder with a changed config. */
function folderWith(change: (config: Config) => Config, family: TinyFamily = "llama"): string {
  const folder = tinyFolder(family);
  const file = join(folder, "config.json");
  writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, "utf8")) as Config)));
  return folder;
}

/** A tiny folder with changed weights. */
function folderWithWeights(change: (weights: Map<string, Tensor>) => void, family: TinyFamily = "llama"): string {
  const folder = tinyFolder(family);
  const file = join(folder, "model.safetensors");
  const weights = new Map([...openSafetensors(file).tensors].map(([name, weight]) => [name, weight.clone()]));
  change(weights);
  rmSync(file);
  writeSafetensorsFile(file, weights);
  return folder;
}

const load = async (folder: string) =>
  loadFiles(await readModelFiles(folder, "tiny"), { precision: "fp32", device: "cpu" });

async function failure(folder: string): Promise<ModelError> {
  const error = await load(folder).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ModelError);
  return error as ModelError;
}

test.each([
  [
    "an unknown model_type",
    () => folderWith((config) => ({ ...config, model_type: "mamba" })),
    {
      field: "model_type",
      says: /"mamba"[\s\S]*llama, mistral, mixtral, qwen2, qwen3, gemma2, gemma3_text, gemma3, phi3, smollm3, olmo2, internlm2/,
    },
  ],
  [
    "no model_type",
    () => folderWith(({ model_type: _, ...config }) => config),
    { field: "model_type", says: /does not say its architecture\n.*Known: llama/ },
  ],
  [
    "a field of the wrong type",
    () => folderWith((config) => ({ ...config, hidden_size: "32" })),
    { field: "hidden_size", says: /is "32", and should be a number/ },
  ],
  [
    "a missing field",
    () => folderWith(({ intermediate_size: _, ...config }) => config),
    { field: "intermediate_size", says: /is missing/ },
  ],
  [
    "billions of layers",
    () => folderWith((config) => ({ ...config, num_hidden_layers: 2e9 })),
    { field: "num_hidden_layers", says: /is 2000000000, and must be at most 10000/ },
  ],
  [
    "heads that do not divide the width",
    () => folderWith((config) => ({ ...config, num_attention_heads: 3, head_dim: null })),
    { field: "num_attention_heads", says: /is 3, which does not divide hidden_size 32/ },
  ],
  [
    "groups of heads that do not come out even",
    () => folderWith((config) => ({ ...config, num_key_value_heads: 3 })),
    { field: "num_key_value_heads", says: /is 3, which does not divide num_attention_heads 4/ },
  ],
  [
    "heads of an odd size",
    () => folderWith((config) => ({ ...config, head_dim: 7 })),
    { field: "head_dim", says: /is 7: dimensions are rotated in pairs/ },
  ],
  [
    "an unknown activation",
    () => folderWith((config) => ({ ...config, hidden_act: "relu" })),
    { field: "hidden_act", says: /"relu" is not known here\n.*It is one of silu/ },
  ],
  [
    "an unknown rotation",
    () =>
      folderWith((config) => ({ ...config, rope_parameters: { rope_type: "longrope", rope_theta: 1e4, factor: 4 } })),
    { field: "rope_scaling.rope_type", says: /longrope.*default, linear, dynamic, llama3, yarn/ },
  ],
  [
    "a rotation that lacks a setting",
    () => folderWith((config) => ({ ...config, rope_parameters: { rope_type: "llama3", factor: 4 } })),
    { field: "rope_scaling.low_freq_factor", says: /llama3/ },
  ],
  [
    "an attention with biases where none are known",
    () => folderWith((config) => ({ ...config, attention_bias: true })),
    { field: "attention_bias", says: /false/ },
  ],
  [
    "a rotation of a part of each head where the whole is rotated",
    () => folderWith((config) => ({ ...config, rope_parameters: { rope_theta: 1e4, partial_rotary_factor: 0.5 } })),
    { field: "partial_rotary_factor", says: /as a whole/ },
  ],
  [
    "InternLM2 with biases",
    () => folderWith((config) => ({ ...config, bias: true }), "internlm2"),
    { field: "bias", says: /not known here/ },
  ],
  [
    "a multimodal Gemma 3 without the config of its language model",
    () => folderWith(({ text_config: _, ...config }) => config, "gemma3-multimodal"),
    { field: "text_config", says: /is missing/ },
  ],
  [
    "an output matrix that config.json says is the embedding, and is not",
    () => folderWithWeights((weights) => weights.set("lm_head.weight", ops.ones([320, 32])), "qwen2"),
    { field: "lm_head.weight", says: /not the embedding.*\n.*tie_word_embeddings/ },
  ],
  [
    "soft-capping to nothing",
    () => folderWith((config) => ({ ...config, final_logit_softcapping: 0 }), "gemma2"),
    { field: "final_logit_softcapping", says: /must be greater than 0/ },
  ],
  [
    "LongRoPE with a number of factors that doesn't fit",
    () =>
      folderWith((config) => {
        const rope = { ...(config.rope_parameters as Config), short_factor: [1, 2, 3] };
        return { ...config, rope_parameters: rope };
      }, "phi3"),
    { field: "rope_scaling", says: /short_factor has 3 numbers, 2 are needed/ },
  ],
  [
    "a share of each head to rotate that leaves an odd number",
    () =>
      folderWith((config) => {
        const rope = { ...(config.rope_parameters as Config), partial_rotary_factor: 0.4 };
        return { ...config, rope_parameters: rope };
      }, "phi3"),
    { field: "partial_rotary_factor", says: /leaves 3 dimensions/ },
  ],
  [
    "more experts for a token than there are",
    () => folderWith((config) => ({ ...config, num_experts_per_tok: 5 }), "mixtral"),
    { field: "num_experts_per_tok", says: /is 5, but there are 4 experts/ },
  ],
  [
    "billions of experts",
    () => folderWith((config) => ({ ...config, num_local_experts: 2e9 }), "mixtral"),
    { field: "num_local_experts", says: /at most 100000/ },
  ],
  [
    "fewer layers with and without rotation than there are",
    () => folderWith((config) => ({ ...config, no_rope_layers: [1, 0] }), "smollm3"),
    { field: "no_rope_layers", says: /names 2 of 3 layers/ },
  ],
  [
    "an embedding smaller than the vocabulary",
    () => folderWith((config) => ({ ...config, vocab_size: 100 })),
    { field: "vocab_size", says: /only 100 rows/ },
  ],
  [
    "an embedding of another size than config.json says",
    () => folderWith((config) => ({ ...config, vocab_size: 321 })),
    { field: "model.embed_tokens.weight", says: /\[320, 32\].*\[321, 32\]/ },
  ],
  [
    "a missing weight",
    () => folderWithWeights((weights) => weights.delete("model.layers.1.mlp.up_proj.weight")),
    { field: "model.layers.1.mlp.up_proj.weight", says: /lack/ },
  ],
  [
    "a weight of the wrong shape",
    () => folderWithWeights((weights) => weights.set("model.norm.weight", ops.ones([31]))),
    { field: "model.norm.weight", says: /\[31\].*\[32\]/ },
  ],
  [
    "a weight that the architecture doesn't use",
    () => folderWithWeights((weights) => weights.set("model.layers.0.self_attn.q_proj.bias", ops.ones([32]))),
    { field: "model.layers.0.self_attn.q_proj.bias", says: /answers would be wrong/ },
  ],
])("%s is a ModelError with its place", async (_, make, { field, says }) => {
  const folder = make();
  const error = await failure(folder);
  expect(error.place.file).toContain(folder);
  expect(error.place.field).toBe(field);
  expect(describeError(error)).toMatch(says);
  expect(error.hint).toMatch(/\.$/);
});

test.each([
  ["broken JSON", (file: string) => writeFileSync(file, '{"model_type": "llama",'), /no JSON object/],
  ["a list", (file: string) => writeFileSync(file, "[1]"), /no JSON object/],
  ["nothing", (file: string) => rmSync(file), /no readable config\.json/],
])("config.json with %s is a ModelError that names the file", async (_, damage, says) => {
  const folder = tinyFolder("llama");
  damage(join(folder, "config.json"));
  const error = await failure(folder);
  expect(error.place.file).toBe(join(folder, "config.json"));
  expect(error.message).toMatch(says);
});

test("a folder that is not there is a ModelError", async () => {
  expect((await failure("/nowhere/at/all")).place.file).toContain("/nowhere/at/all");
});

test("a tied model may repeat its embedding as output matrix", async () => {
  const repeated = (weights: Map<string, Tensor>) =>
    weights.set("lm_head.weight", weights.get("model.embed_tokens.weight")!);
  const { decoder } = await load(folderWithWeights(repeated, "qwen2"));
  expect(decoder.parameters.has("lm_head.weight")).toBe(false);
});

test("the digest is that of weights and config, the identity that of the compute type as well", async () => {
  const plain = await load(tinyFolder("qwen2"));
  const again = await load(tinyFolder("qwen2"));
  const other = await load(
    folderWithWeights(
      (weights) => weights.set("model.norm.weight", weights.get("model.norm.weight")!.add(1e-6)),
      "qwen2",
    ),
  );
  const setting = await load(folderWith((config) => ({ ...config, rms_norm_eps: 1e-5 }), "qwen2"));
  const rounded = loadFiles(await readModelFiles(tinyFolder("qwen2"), "tiny"), { precision: "bf16", device: "cpu" });
  expect(again.digest).toBe(plain.digest);
  expect(again.identity).toBe(plain.identity);
  expect(new Set([plain.digest, other.digest, setting.digest]).size).toBe(3);
  expect(rounded.digest).toBe(plain.digest);
  expect(rounded.identity).not.toBe(plain.identity);
  expect(rounded.decoder.parameters.get("model.norm.weight")!.dtype).toBe("bfloat16");
});

test("a chat template given with the model replaces its own, and is part of the identity", async () => {
  const folder = tinyFolder("llama");
  const given = await readModelFiles(folder, "tiny", "{% for m in messages %}[{{ m.content }}]{% endfor %}");
  expect(given.tokenizer.renderChat([{ role: "user", content: "Hi" }])).toBe("[Hi]");
  const recipe = { precision: "fp32", device: "cpu" } as const;
  expect(loadFiles(given, recipe).identity).not.toBe((await load(folder)).identity);
});

test("a mapped file may be replaced while the model is in use", async () => {
  for (const family of tinyFamilies) {
    const folder = tinyFolder(family);
    const model = await load(folder);
    const norm = model.decoder.parameters.get("model.norm.weight")!;
    const before = norm.sum().item();
    writeFileSync(join(folder, "model.safetensors"), Buffer.alloc(200_000, 255));
    expect(norm.sum().item()).toBe(before);
  }
});

test("a device that isn't there is named", async () => {
  const files = await readModelFiles(tinyFolder("llama"), "tiny");
  for (const device of ["tpu", "cuda:99", ""]) {
    expect(() => loadFiles(files, { precision: "fp32", device })).toThrow(EnvironmentError);
    expect(() => loadFiles(files, { precision: "fp32", device })).toThrow(`no device "${device}" to compute on`);
  }
});
