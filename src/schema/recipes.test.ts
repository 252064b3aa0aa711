import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { loadRecipe, recipeJsonSchema } from "./recipe-file.ts";
import { loadSuite, suiteJsonSchema } from "./suite-file.ts";
import { loadSweep, sweepJsonSchema } from "./sweep-file.ts";

const recipes = fileURLToPath(new URL("../../recipes/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "recipes-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ["recipes/recipe", recipeJsonSchema()],
  ["recipes/sweep", sweepJsonSchema()],
  ["suites/suite", suiteJsonSchema()],
])("%s.schema.json is current (scripts/generate-recipe-schema.mjs writes it)", (path, schema) => {
  expect(JSON.parse(readFileSync(join(recipes, "..", `${path}.schema.json`), "utf8"))).toEqual(schema);
});

test.each(["small", "paper"])("the suite %s names the schema for editors, and is read as it stands", (name) => {
  const file = join(recipes, "..", "suites", `${name}.yaml`);
  expect(readFileSync(file, "utf8")).toMatch(/^# yaml-language-server: \$schema=(\.\/)?suite\.schema\.json\n/);
  const read = () => loadSuite(file).suite.benchmarks.map(({ kind }) => kind);
  const kinds = [...["alpaca_eval", "arena_hard", "mt_bench"], ...Array.from({ length: 7 }, () => "task")];
  if (name === "small") expect(read()).toEqual(kinds);
  // The files of the official benchmarks are not part of Amalgam: nothing else is wrong.
  else expect(read).toThrow(expect.objectContaining({ message: expect.stringContaining("there is no file") }));
});

describe("the recipes that come with Amalgam", () => {
  test.each(readdirSync(recipes).filter((name) => name.endsWith(".yaml")))(
    "%s names the schema for editors",
    (name) => {
      expect(readFileSync(join(recipes, name), "utf8")).toMatch(
        /^# yaml-language-server: \$schema=(\.\/)?recipe\.schema\.json\n/,
      );
    },
  );

  test.each(["quickstart.yaml", "overnight.yaml", "init/recipe.yaml"])("%s is accepted as it stands", (name) => {
    expect(loadRecipe(join(recipes, name)).recipe.sources.length).toBeGreaterThan(1);
  });

  test("the paper's has the paper's values", () => {
    cpSync(join(recipes, "paper.yaml"), join(folder, "paper.yaml"));
    for (const prompts of ["ultrafeedback.jsonl", "held-out.jsonl"]) writeFileSync(join(folder, prompts), "");
    const { recipe } = loadRecipe(join(folder, "paper.yaml"));
    expect(recipe.sources).toHaveLength(10);
    expect(recipe.sampling).toMatchObject({ n: 5, temperature: 0.8, top_p: 0.95 });
    expect(recipe.selection.sft_share).toBe(1 / 3);
    const shared = {
      batch_size: 128,
      epochs: 1,
      schedule: "cosine",
      warmup_ratio: 0.1,
      max_length: 2048,
      max_prompt_length: 1800,
    };
    expect(recipe.sft).toMatchObject({ ...shared, learning_rate: 7e-6 });
    expect(recipe.wrpo).toMatchObject({
      ...shared,
      learning_rate: 3e-7,
      beta: 0.01,
      alpha: 0.1,
      alpha_schedule: "linear",
      objective: "wrpo",
    });
    // A recipe without these fields says the same: the paper's values are the defaults.
    const bare = loadRecipe(join(recipes, "init", "recipe.yaml"), [
      "sft={}",
      "wrpo={}",
      "selection={}",
      "sampling={}",
    ]).recipe;
    for (const field of ["sft", "wrpo", "selection", "sampling"] as const) expect(recipe[field]).toEqual(bare[field]);
  });
});

describe("the ablations", () => {
  const ablations = join(recipes, "ablations");
  const sweeps = readdirSync(ablations).filter((name) => name !== "base.yaml");

  /** Each variant's part of a recipe that names its training. */
  const trainings = (name: string) =>
    loadSweep(join(ablations, name)).variants.map(({ name: variant, overrides }) => {
      const { sft, wrpo } = loadRecipe(join(ablations, "base.yaml"), overrides).recipe;
      return { variant, tuned: sft.enabled, wrpo };
    });

  test.each(sweeps)("%s names the schema for editors, and every variant's recipe is accepted", (name) => {
    expect(readFileSync(join(ablations, name), "utf8")).toMatch(
      /^# yaml-language-server: \$schema=\.\.\/sweep\.schema\.json\n/,
    );
    expect(trainings(name).length).toBeGreaterThan(1);
  });

  test.each(sweeps.filter((name) => !/objectives/.test(name)))("%s goes with the paper's recipe, too", (name) => {
    for (const file of ["ablations", "paper.yaml"])
      cpSync(join(recipes, file), join(folder, file), { recursive: true });
    for (const prompts of ["ultrafeedback.jsonl", "held-out.jsonl"]) writeFileSync(join(folder, prompts), "");
    const { variants, recipeFile } = loadSweep(join(folder, "ablations", name), {
      recipeFile: join(folder, "paper.yaml"),
    });
    for (const { overrides } of variants) expect(loadRecipe(recipeFile, overrides).recipe.sources).toHaveLength(10);
  });

  test("go through the paper's values", () => {
    const alphas = trainings("alpha.yaml").map(({ wrpo }) => `${wrpo.alpha_schedule} ${wrpo.alpha}`);
    const values = [0.1, 0.3, 0.5, 0.7, 0.9, 1];
    expect(alphas).toEqual([
      "static 0",
      ...["linear", "static"].flatMap((schedule) => values.map((value) => `${schedule} ${value}`)),
    ]);
    expect(trainings("objectives.yaml").map(({ wrpo }) => wrpo.objective)).toEqual([
      ...["wrpo", "dpo", "ipo", "simpo", "wrpo_ipo", "wrpo_simpo"],
    ]);
    expect(trainings("without-sft.yaml").map(({ tuned, wrpo }) => [tuned, wrpo.alpha])).toEqual(
      [true, false].flatMap((tuned) => [0.1, 0, 1].map((alpha) => [tuned, alpha])),
    );
    expect(trainings("source-rejected.yaml").map(({ wrpo }) => wrpo.objective)).toEqual([
      "wrpo",
      "wrpo_source_rejected",
    ]);
  });
});
