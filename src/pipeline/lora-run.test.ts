import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findModel, loadFiles, type ModelFiles, readModelFiles } from "../models/index.ts";
import { contentKey, modelSchema } from "../schema/index.ts";
import { ops } from "../torch/index.ts";
import { runPaths } from "./run.ts";
import { runStages } from "./stages.ts";
import { hearing, jsonLines, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
cpSync(new URL("../models/fixtures/lora-plain", import.meta.url), join(world.folder, "peft"), { recursive: true });
world.write({
  sources: [
    ...world.recipe.sources,
    { name: "adapted", model: world.models.llama, adapter: "peft", precision: "fp32" },
  ],
  sft: { ...world.recipe.sft, lora: { rank: 3, alpha: 9, dora: true, dropout: 0.2 } },
  wrpo: {
    ...world.recipe.wrpo,
    learning_rate: 1e-2,
    epochs: 8,
    ema_decay: 0.5,
    lora: { rank: 4, target_modules: ["q_proj", "down_proj"] },
  },
});
const folder = runFolder(world, "lora");
const paths = runPaths(folder);
const upTo = [
  "sample",
  "score",
  "select_sft",
  "sft",
  "sample_target",
  "score_target",
  "select_quadruples",
  "wrpo",
] as const;

beforeAll(() => withRun({ folder, recipeFile: world.recipeFile }, (run) => runStages(run, upTo)));
afterAll(() => world.remove());

const weightsOf = (files: ModelFiles) => loadFiles(files, { precision: "fp32", device: "cpu" }).decoder.parameters;
const opened = async (path: string) => weightsOf(await readModelFiles(path, "a model"));
const found = async (recipe: { model: string; adapter?: string }, baseFolder = "/") =>
  findModel(modelSchema.parse(recipe), { baseFolder });

test("responses of a source with an adapter are not those of its base", async () => {
  const sources = async (name: string) =>
    withRun({ folder }, async ({ ledger }) => {
      const list: string[] = [];
      const { reward } = (await ledger.scoreStatus())[0]!;
      for await (const { responses } of ledger.scores.byPrompt("sources", reward))
        list.push(...responses.filter(({ source }) => source === name).map(({ text }) => text));
      return list;
    });
  expect(await sources("adapted")).toHaveLength(36);
  expect(await sources("adapted")).not.toEqual(await sources("llama"));
});

describe.each([
  ["sft", paths.sftModel, world.models.llama, /_proj\.weight$/],
  ["wrpo", paths.fusedModel, paths.sftModel, /(q_proj|down_proj)\.weight$/],
] as const)("%s by adapters", (_, model, base, adapted) => {
  test("leaves a whole model: the base, but for the projections that were adapted", async () => {
    const [before, after] = [await opened(base), await opened(model)];
    for (const [name, weight] of after) expect(ops.equal(weight, before.get(name)!), name).toBe(!adapted.test(name));
  });

  test("leaves the adapters as PEFT has them: on their base they are this model", async () => {
    const adapter = join(model, "adapter");
    expect(readdirSync(adapter).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    const config = JSON.parse(readFileSync(join(adapter, "adapter_config.json"), "utf8")) as Record<string, unknown>;
    expect(config.base_model_name_or_path).toBe(base);
    const card = readFileSync(join(model, "README.md"), "utf8");
    expect(card).toContain("`adapter/` has them apart");
    expect(card).toContain(`- adapted: ${world.models.llama} with the adapters of peft\n`);
    const whole = await opened(model);
    for (const recipe of [{ model: adapter }, { model: base, adapter }]) {
      const files = await found(recipe);
      for (const [name, weight] of weightsOf(files)) expect(ops.equal(weight, whole.get(name)!), name).toBe(true);
      expect(files.digest).not.toBe((await found({ model: base })).digest);
      expect(files.weights("bfloat16").get("model.norm.weight")!.dtype).toBe("bfloat16");
    }
  });
});

test("the reference of WRPO is the base: the first step's rewards are none", () => {
  const steps = jsonLines(paths.metrics("wrpo"));
  expect(steps[0]!.loss).toBeCloseTo(Math.log(2), 6);
  expect(steps[0]!["rewards/chosen"]).toBeCloseTo(0, 6);
  expect(steps.at(-1)!.loss).toBeLessThan(Math.log(2));
});

test("a run that was stopped in both trainings leaves the same model", async () => {
  const cut = runFolder(world, "cut");
  const where = { folder: cut, recipeFile: world.recipeFile };
  for (const stage of ["sft", "wrpo"] as const) {
    const control = new AbortController();
    const heard = hearing((progress) => {
      if (progress.stage === stage && progress.unit === "steps" && progress.done === 3) control.abort();
    });
    await withRun({ ...where, heard, signal: control.signal }, async (run) => {
      await expect(runStages(run, upTo)).rejects.toThrow("stopped");
    });
  }
  await withRun(where, (run) => runStages(run, upTo));
  const bytes = (model: string) => contentKey(readFileSync(join(model, "model.safetensors")).toString("base64"));
  expect(bytes(runPaths(cut).fusedModel)).toBe(bytes(paths.fusedModel));
});

describe("an adapter is refused", () => {
  test("when it is not there, or its config names no base", async () => {
    await expect(found({ model: world.models.llama, adapter: "nowhere" })).rejects.toThrow(
      "there is no adapter folder /nowhere",
    );
    const adapter = join(world.folder, "nameless");
    cpSync(join(world.folder, "peft"), adapter, { recursive: true });
    const file = join(adapter, "adapter_config.json");
    const { base_model_name_or_path: _, ...config } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify(config));
    await expect(found({ model: adapter })).rejects.toThrow("the adapter doesn't say which model it adapts");
  });

  test("on another model", async () => {
    const error = await found({ model: world.models.qwen2, adapter: paths.fusedModel }).catch(
      (reason: unknown) => reason,
    );
    expect(String(error)).toMatch(/no readable JSON/);
    const wrong = await found({ model: world.models.gemma3, adapter: join(paths.sftModel, "adapter") }).catch(
      (reason: unknown) => reason,
    );
    expect(String(wrong)).toMatch(/has shape/);
  });
});
