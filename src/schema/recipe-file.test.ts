import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { objectiveDefaults, objectiveFields, pairModifiers } from "./objectives.ts";
import { recipeSchema } from "./recipe.ts";
import { loadRecipe, recipeJsonSchema, resolvedRecipe, resolvedYaml } from "./recipe-file.ts";
import { good, recipeFolder } from "./testing/recipes.ts";

const { folder, file, write, mistakes } = recipeFolder();

describe("a good recipe", () => {
  test("has every default filled in, the paper's values", () => {
    const { recipe, baseFolder } = loadRecipe(write(good));
    expect(baseFolder).toBe(folder);
    expect(recipe.sampling).toEqual({ n: 5, temperature: 0.8, top_p: 0.95, top_k: 0, max_tokens: 2048, stop: [] });
    expect(recipe.wrpo).toMatchObject({
      learning_rate: 3e-7,
      beta: 0.01,
      alpha: 0.1,
      batch_size: 128,
      warmup_ratio: 0.1,
    });
    expect(recipe.sft.learning_rate).toBe(7e-6);
    expect(recipe.selection.sft_share).toBeCloseTo(1 / 3, 15);
  });

  test("has the settings of its objective, and those only", () => {
    const wrpo = (given: object) => {
      const found = recipeSchema.shape.wrpo.parse(given);
      const objective = ["objective", "parts", ...Object.keys(objectiveFields)];
      return Object.fromEntries(Object.entries(found).filter(([field]) => objective.includes(field)));
    };
    expect(wrpo({})).toEqual({
      objective: "wrpo",
      beta: 0.01,
      alpha: 0.1,
      alpha_schedule: "linear",
      source_weights: "equal",
      label_smoothing: 0,
    });
    for (const [objective, defaults] of Object.entries(objectiveDefaults))
      expect(wrpo({ objective })).toEqual({ objective, ...defaults });
    expect(wrpo({ objective: "wrpo_simpo", beta: 2 })).toMatchObject({ beta: 2, gamma: 0, alpha: 0.5 });
    expect(wrpo({ objective: "mixture", parts: [{ objective: "hinge" }, { objective: "sft", weight: 2 }] })).toEqual({
      objective: "mixture",
      parts: [
        { objective: "hinge", weight: 1, beta: 0.05, ...pairModifiers },
        { objective: "sft", weight: 2 },
      ],
    });
    expect(recipeSchema.shape.wrpo.parse(wrpo({ objective: "ipo" }))).toMatchObject(wrpo({ objective: "ipo" }));
  });

  test("has micro-batches by the number or by what the memory holds, and early stopping with its defaults", () => {
    const { recipe } = loadRecipe(write(good), [
      "sft.micro_batch_tokens=auto",
      "wrpo.held_out_share=0.1",
      "wrpo.early_stopping={}",
      "wrpo.keep_best=2",
    ]);
    expect([recipe.sft.micro_batch_tokens, recipe.wrpo.micro_batch_tokens]).toEqual(["auto", 4096]);
    expect(recipe.wrpo.early_stopping).toEqual({ metric: "loss", patience: 3, min_delta: 0 });
    const form = "must be a number of tokens of 16 or more, or `auto`";
    for (const [wrong, message] of [
      ["some", form],
      ["8", "is 8, and must be at least 16"],
      ["1000.5", form],
    ])
      expect(mistakes(good, [`sft.micro_batch_tokens=${wrong}`]).all).toEqual([
        [undefined, "sft.micro_batch_tokens", message],
      ]);
    for (const [field, value] of [
      ["early_stopping", "{patience: 2}"],
      ["keep_best", "1"],
    ] as const)
      for (const stage of ["sft", "wrpo"])
        expect(mistakes(good, [`${stage}.${field}=${value}`]).all).toEqual([
          [undefined, `${stage}.${field}`, expect.stringMatching(/no rows are held out for one: set held_out_share/)],
        ]);
  });

  test("shares fields by anchors and merge keys", () => {
    const shared = good
      .replace(
        "    model: package:gemma-3-270m\n",
        "    endpoint: &far\n      url: http://localhost:8000/v1\n      model: small\n",
      )
      .replace("      url: http://localhost:8000/v1\n      model: big\n", "      <<: *far\n      model: big\n");
    const { recipe } = loadRecipe(write(shared));
    expect(recipe.sources[1]).toMatchObject({ endpoint: { url: "http://localhost:8000/v1", model: "big" } });
  });
});

test("the resolved recipe means the same from its run folder, and has the same digest", () => {
  mkdirSync(join(folder, "own model"), { recursive: true });
  const loaded = loadRecipe(write(good.replace("model: package:smollm2-135m-instruct", "model: ./own model")), [
    "seed=7",
  ]);
  const run = join(folder, "runs", "one");
  mkdirSync(run, { recursive: true });
  writeFileSync(join(run, "recipe.yaml"), resolvedYaml(resolvedRecipe(loaded.recipe, folder, run)));
  const again = loadRecipe(join(run, "recipe.yaml"));
  expect(again.digest).toBe(loaded.digest);
  expect(again.recipe.target.model).toBe(join(folder, "own model"));
  expect(again.recipe.prompts.file).toBe(join(folder, "train.jsonl"));
  expect(again.recipe.sources).toEqual(loaded.recipe.sources);
  expect(again.recipe.seed).toBe(7);
  expect(loadRecipe(file, ["seed=8"]).digest).not.toBe(loaded.digest);
  expect(parse(resolvedYaml(resolvedRecipe(loaded.recipe, folder, folder))).prompts.file).toBe("./train.jsonl");
});

test("the JSON schema knows what the loader knows", () => {
  const schema = recipeJsonSchema() as { properties: Record<string, unknown>; required: string[] };
  const all = `${good}ledger: {url: "postgresql://me@host/runs"}\n`;
  expect(Object.keys(schema.properties)).toEqual(Object.keys(loadRecipe(write(all)).recipe));
  expect(schema.required).toEqual(["prompts", "target", "sources", "rewards", "evaluation"]);
});
