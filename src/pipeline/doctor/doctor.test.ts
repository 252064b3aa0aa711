import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readModelFiles } from "../../models/index.ts";
import { testModel } from "../../models/testing/test-model.ts";
import { loadRecipe, loraSchema } from "../../schema/index.ts";
import { parameterCount, trainedCount, trainingMemory } from "../../training/index.ts";
import type { Finding } from "./finding.ts";
import { nodeFinding } from "./machine.ts";
import { samplingMemory } from "./needs.ts";
import { recipeFindings } from "./recipe.ts";

const folder = mkdtempSync(join(tmpdir(), "doctor-"));
afterAll(() => rmSync(folder, { recursive: true }));
let model: string;
beforeAll(async () => {
  model = await testModel("smollm2");
});

const prompt = (text: string, check = "punctuation:no_comma") =>
  `${JSON.stringify({ prompt: text, checks: [{ id: check, args: {} }] })}\n`;
const recipe = (more: string) => `prompts: {file: prompts.jsonl}
target: {model: ${JSON.stringify(model)}}
sources:
  - {name: near, model: ${JSON.stringify(model)}}
${more}
rewards: [{kind: checks}]
evaluation: {prompts: {file: held-out.jsonl}}
`;

async function findings(more = "", overrides: string[] = []): Promise<Finding[]> {
  const file = join(folder, "recipe.yaml");
  writeFileSync(file, recipe(more));
  const found: Finding[] = [];
  const signal = new AbortController().signal;
  const loaded = loadRecipe(file, overrides);
  for await (const finding of recipeFindings({ loaded, folder, offline: true, engine: true, signal }))
    found.push(finding);
  return found;
}
const about = (found: readonly Finding[], what: string) =>
  found.filter((finding) => finding.what === what).map(({ outcome, detail }) => [outcome, detail]);

beforeAll(() => {
  writeFileSync(join(folder, "prompts.jsonl"), ["a", "b", "c"].map((text) => prompt(text)).join(""));
  writeFileSync(join(folder, "held-out.jsonl"), prompt("d"));
});

describe("a recipe", () => {
  test("that is well: each model once with all its names, its size, memory and disk", async () => {
    const found = await findings();
    expect(found.filter(({ outcome }) => outcome === "problem")).toEqual([]);
    expect(about(found, "model of target, source near")[0]![1]).toMatch(/LlamaForCausalLM, 135 M weights$/);
    expect(about(found, "split")).toEqual([["ok", "1 prompts for supervised tuning, 2 for wrpo"]]);
    expect(about(found, "memory of the recipe")[0]![1]).toMatch(/^about [\d.]+ GB at most, for training/);
  });

  test("that asks for more memory than there is", async () => {
    const found = await findings("", ["wrpo.micro_batch_tokens=4000000", "wrpo.precision=fp32"]);
    expect(about(found, "memory of the recipe")[0]![0]).toBe("problem");
  });

  test("that names weights which the target doesn't have", async () => {
    const found = await findings("", ["wrpo.frozen=[layers.30]"]);
    expect(about(found, "weights to train")).toEqual([["problem", "frozen.0: layers.30 matches no weight"]]);
    expect(about(await findings("", ["wrpo.frozen=[layers.29]"]), "weights to train")[0]![0]).toBe("ok");
  });

  test("whose adapter is of another model, or not there", async () => {
    const adapter = fileURLToPath(new URL("../../models/fixtures/lora-plain", import.meta.url));
    const found = await findings("", [`target.adapter=${adapter}`]);
    expect(about(found, "model of target")).toEqual([
      ["problem", expect.stringMatching(/lora_A\.weight: has shape \[3, 32\], and should have \[3, 576\]$/)],
    ]);
    expect(about(found, "model of source near")[0]![0]).toBe("ok");
    const missing = await findings("", ["target.adapter=nowhere"]);
    expect(about(missing, "model of target")).toEqual([
      ["problem", `there is no adapter folder ${join(folder, "nowhere")}`],
    ]);
  });

  test("whose reward models have a tokenizer of another vocabulary, or don't fit what the recipe says of them", async () => {
    const rewards = (...more: object[]) => [`rewards=${JSON.stringify([{ kind: "checks" }, ...more])}`];
    const armo = fileURLToPath(new URL("../../rewards/fixtures/tiny-armorm", import.meta.url));
    const reward = { kind: "model", name: "armo", model: armo, precision: "fp32" };
    const good = await findings("", rewards(reward));
    expect(about(good, "model of reward armo")[0]![0]).toBe("ok");
    expect(good.filter(({ what, outcome }) => what.includes("reward armo") && outcome !== "ok")).toEqual([]);

    const misfit = join(folder, "misfit");
    cpSync(armo, misfit, { recursive: true });
    const tokenizer = JSON.parse(readFileSync(join(misfit, "tokenizer.json"), "utf8")) as {
      model: { vocab: Record<string, number> };
    };
    const known = Object.keys(tokenizer.model.vocab).length;
    for (let id = known; id < 400; id += 1) tokenizer.model.vocab[`more ${id}`] = id;
    writeFileSync(join(misfit, "tokenizer.json"), JSON.stringify(tokenizer));
    expect(about(await findings("", rewards({ ...reward, model: misfit })), "model of reward armo")).toEqual([
      ["problem", expect.stringMatching(/vocab_size: the tokenizer has 400 tokens, the embedding only 320 rows$/)],
    ]);

    const wrong = await findings("", rewards({ ...reward, steps: {} }, { ...reward, name: "two", pairs: {} }));
    expect(about(wrong, "reward armo")).toEqual([
      ["problem", expect.stringMatching(/^rewards\.1\.steps: .* gives one reward to a whole response/)],
    ]);
    expect(about(wrong, "reward two")).toEqual([
      ["problem", expect.stringMatching(/^rewards\.2\.pairs: .* rates each response by itself/)],
    ]);
  });

  test("whose endpoint refuses, lacks its key, or does not list the model", async () => {
    const server = createServer((_, response) => response.end(JSON.stringify({ data: [{ id: "other" }] })));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const source = (name: string, url: string, key = "") =>
      `  - {name: ${name}, endpoint: {url: "${url}", model: big${key}}}`;
    const found = await findings(
      [
        source("listed", `http://127.0.0.1:${port}/v1`),
        source("refused", "http://127.0.0.1:9/v1"),
        source("keyless", `http://127.0.0.1:${port}/v1`, ", key_env: NO_SUCH_KEY_HERE"),
      ].join("\n"),
    );
    server.close();
    const problems = (name: string) =>
      about(found, `endpoint of source ${name}`)
        .filter(([outcome]) => outcome === "problem")
        .map(([, detail]) => detail);
    expect(problems("listed")).toEqual([expect.stringContaining('does not list "big"')]);
    expect(problems("refused")).toEqual([expect.stringContaining("does not answer")]);
    expect(problems("keyless")).toEqual([expect.stringContaining("NO_SUCH_KEY_HERE")]);
  });

  test("whose prompts name an unknown check, or are too few to split", async () => {
    writeFileSync(join(folder, "odd.jsonl"), prompt("a") + prompt("b", "punctuation:no_coma"));
    const odd = await findings("", ["prompts.file=odd.jsonl"]);
    expect(about(odd, "prompts")).toEqual([
      ["problem", `${join(folder, "odd.jsonl")}:2, checks.0.id: there is no check "punctuation:no_coma"`],
    ]);
    writeFileSync(join(folder, "one.jsonl"), prompt("a"));
    expect(about(await findings("", ["prompts.file=one.jsonl"]), "split")[0]![0]).toBe("problem");
  });

  test("whose model must be fetched, and may not be", async () => {
    const [finding] = (await findings("", ["sources.0.model=owner/no-such-model"])).filter(
      ({ what }) => what === "model of source near",
    );
    expect(finding).toMatchObject({
      outcome: "problem",
      detail: "owner/no-such-model is not on this machine, and nothing may be fetched",
    });
  });
});

test("the needs of SmolLM2-135M", async () => {
  const { decoderConfig } = await readModelFiles(model, "smollm2");
  // The published model has 134,515,008 weights.
  expect(parameterCount(decoderConfig)).toBe(134_515_008);
  const { sft } = loadRecipe(join(folder, "recipe.yaml")).recipe;
  const memory = (more: Partial<typeof sft>, compute: "fp32" | "bf16" = "fp32") =>
    trainingMemory({ config: decoderConfig, recipe: { ...sft, ...more }, compute });
  // AdamW in fp32 alone holds 16 bytes a weight.
  expect(memory({ micro_batch_tokens: 16 })).toBeGreaterThan(16 * 134_515_008);
  expect(memory({ activation_checkpointing: "layer" })).toBeLessThan(memory({}) / 2);
  const [none, selective, layer] = (["none", "selective", "layer"] as const).map((activation_checkpointing) =>
    memory({ activation_checkpointing }),
  );
  expect((selective! - layer!) / (none! - layer!)).toBeCloseTo(0.5, 1);
  expect(memory({ optimiser: "lion" })).toBe(memory({}) - 4 * 134_515_008);
  expect(memory({ ema_decay: 0.9 })).toBe(memory({}) + 4 * 134_515_008);
  // The embedding has 49,152 rows of 576.
  expect(memory({ frozen: ["embed_tokens"] })).toBe(memory({}) - 12 * 49_152 * 576);
  // PEFT counts 4,884,480 weights of adapters of rank 16.
  const lora = loraSchema.parse({});
  expect(trainedCount(decoderConfig, { ...sft, lora })).toBe(4_884_480);
  expect(memory({ lora }, "bf16")).toBeLessThan(memory({}, "bf16") - 1.8e9);
  expect(memory({}, "bf16")).toBeLessThan(memory({}));
  expect(samplingMemory(decoderConfig, "fp32")).toBeGreaterThan(4 * 134_515_008);
});

test("Node's version is held to the one that package.json asks for", () => {
  expect(["18.20.0", "20.18.9", "20.19.0", "22.1.0"].map((version) => nodeFinding(version).outcome)).toEqual([
    "problem",
    "problem",
    "ok",
    "ok",
  ]);
});
