import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { loadRecipe, recipeJsonSchema } from "./recipe-file.ts";

const recipes = fileURLToPath(new URL("../../recipes/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "recipes-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("recipes/recipe.schema.json is current (scripts/generate-recipe-schema.mjs writes it)", () => {
  expect(JSON.parse(readFileSync(join(recipes, "recipe.schema.json"), "utf8"))).toEqual(recipeJsonSchema());
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
