import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { adapterTensors, checkpointed, type LoraSettings } from "../nn/index.ts";
import { ModelError } from "../schema/index.ts";
import { backward, gradcheck, manualSeed, noGrad, ops, scope, type Tensor, tensor, toNumbers } from "../torch/index.ts";
import { adaptedNames, createAdapters, mergeAdapters, usingSums } from "./adapters.ts";
import { bundleAttention } from "./bundle-attention.ts";
import { type Decoder, type ForwardOptions, hiddenStates, nextLogits } from "./decoder.ts";
import { readAdapters, readPeftConfig, writeAdapters } from "./peft.ts";
import { decoderIn, type TinyFamily, tinyFigures, tinyModel } from "./testing/tiny-model.ts";

interface Figures {
  readonly family: TinyFamily;
  readonly logps: readonly number[][];
  readonly gradients: Readonly<Record<string, { norm: number; places: number[]; values: number[] }>>;
}

const fixture = (name: string) => join(import.meta.dirname, "fixtures", name);
const figuresOf = (name: string) => JSON.parse(readFileSync(fixture(`lora-${name}.json`), "utf8")) as Figures;
const copyOf = (name: string): string => {
  const folder = mkdtempSync(join(tmpdir(), "amalgam-lora-"));
  cpSync(fixture(`lora-${name}`), folder, { recursive: true });
  return folder;
};

const int64 = (values: readonly number[]) => tensor(values, [values.length], "int64");

/** log p [tokens] of each token of `response` after `prompt`, in one sequence. */
function logProbs(
  model: Decoder,
  prompt: readonly number[],
  response: readonly number[],
  options: ForwardOptions = {},
) {
  const ids = [...prompt, ...response];
  const spans = [{ start: 0, promptLength: ids.length, responseLengths: [] }];
  const attend = bundleAttention(model.config, spans);
  const hidden = hiddenStates(model, int64(ids), int64([...ids.keys()]), attend, options);
  const logits = nextLogits(model, hidden.narrow(0, prompt.length - 1, response.length));
  return logits.log_softmax(-1).gather(-1, int64(response).unsqueeze(-1)).squeeze(-1);
}

const responsesOf = (family: TinyFamily) =>
  tinyFigures(family).bundles.flatMap(({ prompt, responses }) => responses.map(({ ids }) => ({ prompt, ids })));

async function adaptedModel(name: string) {
  const figures = figuresOf(name);
  const { decoder } = await tinyModel(figures.family);
  return { figures, decoder: { ...decoder, adapters: readAdapters(fixture(`lora-${name}`), decoder.config) } };
}

function expectLogProbs(model: Decoder, { family, logps }: Figures, digits = 4): void {
  for (const [k, { prompt, ids }] of responsesOf(family).entries())
    for (const [t, logp] of noGrad(() => scope(() => toNumbers(logProbs(model, prompt, ids)))).entries())
      expect(logp).toBeCloseTo(logps[k]![t]!, digits);
}

/** Gradients of minus the mean log-prob of all response tokens by the adapters' tensors. */
function gradients(decoder: Decoder, family: TinyFamily, options: ForwardOptions = {}): Map<string, number[]> {
  const trained = adapterTensors(decoder.adapters!);
  for (const weight of trained.values()) {
    weight.requiresGrad = true;
    weight.grad = null;
  }
  const rows = responsesOf(family);
  const count = rows.reduce((sum, { ids }) => sum + ids.length, 0);
  for (const { prompt, ids } of rows) scope(() => backward(logProbs(decoder, prompt, ids, options).sum().div(-count)));
  return new Map([...trained].map(([name, weight]) => [name, toNumbers(weight.grad!)]));
}

describe.each(["plain", "rslora", "dora", "fused"])("an adapter that peft wrote: %s", (name) => {
  test("gives peft's log-probs, and its base those of before", async () => {
    const { figures, decoder } = await adaptedModel(name);
    expectLogProbs(decoder, figures);
    const { adapters: _, ...base } = decoder;
    const before = tinyFigures(figures.family).bundles.flatMap(({ responses }) => responses.map(({ logps }) => logps));
    expectLogProbs(base, { ...figures, logps: before });
    const change = figures.logps.flatMap((row, k) => row.map((logp, t) => Math.abs(logp - before[k]![t]!)));
    expect(Math.max(...change)).toBeGreaterThan(0.3);
  });

  test("gives peft's gradients, and none for the base", async () => {
    const { figures, decoder } = await adaptedModel(name);
    const got = gradients(decoder, figures.family);
    expect([...got.keys()].sort()).toEqual(
      Object.keys(figures.gradients)
        .map((key) => key.replace(/vector\.weight$/, "vector"))
        .sort(),
    );
    for (const [key, { norm, places, values }] of Object.entries(figures.gradients)) {
      const gradient = got.get(key.replace(/vector\.weight$/, "vector"))!;
      expect(Math.hypot(...gradient) / norm, key).toBeCloseTo(1, 3);
      for (const [k, place] of places.entries())
        expect(Math.abs(gradient[place]! - values[k]!) / norm, key).toBeLessThan(1e-3);
    }
    for (const weight of decoder.parameters.values()) expect(weight.grad).toBeNull();
  });

  test("with its sums at hand, gives the same log-probs and gradients", async () => {
    const { figures, decoder } = await adaptedModel(name);
    const without = gradients(decoder, figures.family);
    await usingSums(decoder, async (summed) => {
      expectLogProbs(summed, figures);
      for (const [key, gradient] of gradients(summed, figures.family)) {
        const expected = without.get(key)!;
        const norm = Math.hypot(...expected);
        for (const [k, value] of gradient.entries())
          expect(Math.abs(value - expected[k]!) / norm, key).toBeLessThan(1e-5);
      }
    });
    for (const weight of decoder.parameters.values()) expect(weight.grad).toBeNull();
  });

  test("merged into the weights, gives the same", async () => {
    const { figures, decoder } = await adaptedModel(name);
    const parameters = new Map(decoder.parameters);
    mergeAdapters(parameters, decoder.adapters);
    expectLogProbs({ config: decoder.config, parameters }, figures);
  });

  test("is written as peft wrote it, byte for byte", async () => {
    const { decoder } = await adaptedModel(name);
    const config = readPeftConfig(fixture(`lora-${name}`));
    const folder = mkdtempSync(join(tmpdir(), "amalgam-lora-"));
    const settings: LoraSettings = {
      ...{ rank: config.r, alpha: config.lora_alpha, dropout: 0 },
      ...{ rslora: config.use_rslora, dora: config.use_dora },
    };
    writeAdapters(folder, decoder.adapters, settings, config.base_model_name_or_path!);
    const read = (from: string, file: string) => readFileSync(join(from, file));
    const weights = "adapter_model.safetensors";
    expect(read(folder, weights).equals(read(fixture(`lora-${name}`), weights))).toBe(true);
    const [ours, theirs] = [folder, fixture(`lora-${name}`)].map(
      (from) => JSON.parse(read(from, "adapter_config.json").toString()) as Record<string, unknown>,
    );
    const { target_modules: modules, ...fields } = ours!;
    expect(theirs).toMatchObject(fields);
    expect((modules as string[]).length).toBe(decoder.adapters.size);
  });

  test("in bfloat16 deviates by rounding only", async () => {
    const { figures, decoder } = await adaptedModel(name);
    const rounded = { ...decoderIn(decoder, "bfloat16"), adapters: decoder.adapters };
    for (const [k, { prompt, ids }] of responsesOf(figures.family).entries())
      for (const [t, logp] of noGrad(() => toNumbers(logProbs(rounded, prompt, ids))).entries())
        expect(Math.abs(logp - figures.logps[k]![t]!)).toBeLessThan(0.5);
  });
});

describe("dropout", () => {
  const dropping = async () => {
    const { figures, decoder } = await adaptedModel("dora");
    const adapters = new Map([...decoder.adapters].map(([key, adapter]) => [key, { ...adapter, dropout: 0.3 }]));
    return { figures, decoder: { ...decoder, adapters } };
  };

  test("is for training only, and falls as the seed says", async () => {
    const { figures, decoder } = await dropping();
    expectLogProbs(decoder, figures);
    const [{ prompt, ids }] = responsesOf(figures.family) as [{ prompt: number[]; ids: number[] }];
    const seeded = (seed: number) => {
      manualSeed(seed);
      return noGrad(() => toNumbers(logProbs(decoder, prompt, ids, { training: true })));
    };
    expect(seeded(1)).toEqual(seeded(1));
    expect(seeded(1)).not.toEqual(seeded(2));
    manualSeed(0);
  });

  test("falls on the same inputs when activations are computed again", async () => {
    const { figures, decoder } = await dropping();
    const run = (options: ForwardOptions) => {
      manualSeed(5);
      return gradients(decoder, figures.family, { ...options, training: true });
    };
    expect(run({ wrapLayer: checkpointed })).toEqual(run({}));
    manualSeed(0);
  });
});

test("gradients hold to finite differences, but for DoRA's lengths, which count as constant", async () => {
  const { decoder } = await tinyModel("qwen2");
  const wide = decoderIn(decoder, "float64");
  const settings = { rank: 2, alpha: 3, dropout: 0, rslora: false, dora: false };
  const names = ["model.layers.1.self_attn.k_proj.weight", "model.layers.0.mlp.down_proj.weight"];
  const made = createAdapters(wide, ["layers.1.self_attn.k_proj", "layers.0.mlp.down_proj"], settings, 3);
  expect([...made.keys()].sort()).toEqual([...names].sort());
  const parts = [...adapterTensors(made).values()].map((part) => {
    const leaf = noGrad(() => part.to("float64").add(ops.randn(part.shape, { dtype: "float64" }).mul(0.1)));
    leaf.requiresGrad = true;
    return leaf;
  });
  const worst = gradcheck((...given: (Tensor | undefined)[]) => {
    const adapters = new Map(
      [...made].map(([name, adapter], k) => [name, { ...adapter, a: given[2 * k]!, b: given[2 * k + 1]! }]),
    );
    return logProbs({ ...wide, adapters }, [5, 9, 20], [11, 12]);
  }, parts);
  expect(worst).toBeLessThan(1e-5);
});

describe("fresh adapters", () => {
  const settings = { rank: 4, alpha: 8, dropout: 0, rslora: false, dora: true };

  test("change nothing, and are drawn by the seed within PEFT's bounds", async () => {
    const { decoder } = await tinyModel("llama");
    const adapters = createAdapters(decoder, "all-linear", settings, 11);
    expect(adapters.size).toBe(14);
    const before = tinyFigures("llama").bundles.flatMap(({ responses }) => responses.map(({ logps }) => logps));
    expectLogProbs({ ...decoder, adapters }, { family: "llama", logps: before, gradients: {} });
    const values = (seed: number) =>
      toNumbers([...createAdapters(decoder, ["down_proj"], settings, seed).values()][0]!.a);
    expect(values(11)).toEqual(values(11));
    expect(values(11)).not.toEqual(values(12));
    const bound = 1 / Math.sqrt(64);
    expect(Math.max(...values(11).map(Math.abs))).toBeLessThanOrEqual(bound);
    expect(Math.max(...values(11).map(Math.abs))).toBeGreaterThan(0.9 * bound);
  });

  test("experts, embeddings and the output are left alone; what can't be adapted is named", async () => {
    const { decoder } = await tinyModel("mixtral");
    const names = adaptedNames(decoder.config, "all-linear");
    expect(names).toHaveLength(8);
    expect(names.every((name) => name.includes("self_attn"))).toBe(true);
    expect(adaptedNames(decoder.config, ["v_proj", "layers.1.self_attn.q_proj"])).toEqual([
      "model.layers.0.self_attn.v_proj.weight",
      "model.layers.1.self_attn.q_proj.weight",
      "model.layers.1.self_attn.v_proj.weight",
    ]);
    for (const target of ["embed_tokens", "w1", "proj", "q_pro"])
      expect(() => adaptedNames(decoder.config, [target])).toThrow(new RegExp(`^${target} is no projection`));
  });
});

describe("an adapter folder is refused", () => {
  const withConfig = (name: string, change: object) => {
    const folder = copyOf(name);
    const file = join(folder, "adapter_config.json");
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, "utf8")) as object), ...change }));
    return folder;
  };
  const refusal = async (folder: string, family: TinyFamily = "llama"): Promise<ModelError> => {
    const { decoder } = await tinyModel(family);
    try {
      readAdapters(folder, decoder.config);
    } catch (error) {
      return error as ModelError;
    }
    throw new Error("it was not refused");
  };

  test.each([
    ["peft_type", "IA3"],
    ["bias", "all"],
    ["init_lora_weights", "pissa"],
    ["modules_to_save", ["lm_head"]],
    ["rank_pattern", { q_proj: 8 }],
    ["lora_bias", true],
    ["r", 0],
  ])("for %s %j, which would change the answers", async (field, value) => {
    const error = await refusal(withConfig("plain", { [field]: value }));
    expect(error).toBeInstanceOf(ModelError);
    expect(error.place.field).toMatch(new RegExp(`^${field}`));
  });

  test("with a rank that its tensors don't have, of another model, without weights, or damaged", async () => {
    expect((await refusal(withConfig("plain", { r: 5 }))).message).toBe("has shape [3, 32], and should have [5, 32]");
    expect((await refusal(withConfig("dora", { use_dora: false }), "qwen2")).place.field).toMatch(/magnitude/);
    expect((await refusal(copyOf("fused"))).place.field).toMatch(/gate_up_proj|qkv_proj/);
    const bare = copyOf("plain");
    rmSync(join(bare, "adapter_model.safetensors"));
    expect((await refusal(bare)).message).toBe("the adapter has no adapter_model.safetensors");
    const damaged = copyOf("plain");
    writeFileSync(join(damaged, "adapter_config.json"), "{");
    expect((await refusal(damaged)).message).toMatch(/no readable JSON/);
  });
});
