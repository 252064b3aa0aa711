import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { describeError } from "./errors.ts";
import { loadRecipe } from "./recipe-file.ts";
import { loadSweep, type SweepChanges } from "./sweep-file.ts";

const folder = mkdtempSync(join(tmpdir(), "sweeps-"));
afterAll(() => rmSync(folder, { recursive: true }));

const file = join(folder, "sweep.yaml");
const recipe = join(folder, "recipe.yaml");
beforeEach(() => {
  writeFileSync(join(folder, "prompts.jsonl"), "");
  writeFileSync(
    recipe,
    `prompts: { file: prompts.jsonl }
target: { model: package:a }
sources: [{ name: a, model: package:a }]
rewards: [{ kind: checks }]
wrpo: { beta: 0.1 }
evaluation: { prompts: { file: prompts.jsonl } }
`,
  );
});

const load = (text: string, changes: SweepChanges = {}) => {
  writeFileSync(file, text);
  return loadSweep(file, changes);
};

/** What a person reads of the mistakes. */
function complaint(text: string, changes: SweepChanges = {}): string {
  try {
    load(text, changes);
  } catch (error) {
    return describeError(error).replaceAll(`${folder}/`, "");
  }
  throw new Error("accepted");
}

describe("a sweep", () => {
  test("has its variants by name, then every combination of its grid, the last field fastest", () => {
    const { variants, recipeFile } = load(`
name: try
recipe: recipe.yaml
set: { wrpo.epochs: 2 }
variants: [{ name: plain }, { name: dpo, set: { wrpo.objective: dpo } }]
grid: { wrpo.alpha_schedule: [linear, static], wrpo.alpha: [0.1, 1] }
`);
    const names = ["plain", "dpo", "linear-alpha-0.1", "linear-alpha-1", "static-alpha-0.1", "static-alpha-1"];
    expect(variants.map(({ name }) => name)).toEqual(names);
    const recipes = variants.map(({ overrides }) => loadRecipe(recipeFile, overrides).recipe);
    expect(recipes.map(({ name }) => name)).toEqual(names.map((name) => `try-${name}`));
    expect(recipes.map(({ wrpo }) => [wrpo.objective, wrpo.epochs, wrpo.alpha, wrpo.alpha_schedule])).toEqual([
      ["wrpo", 2, 0.1, "linear"],
      ["dpo", 2, undefined, undefined],
      ["wrpo", 2, 0.1, "linear"],
      ["wrpo", 2, 1, "linear"],
      ["wrpo", 2, 0.1, "static"],
      ["wrpo", 2, 1, "static"],
    ]);
    expect(variants[3]!.point).toEqual({ "wrpo.alpha_schedule": "linear", "wrpo.alpha": 1 });
    expect(variants[1]!.point).toBeUndefined();
  });

  test("null takes a field of the recipe out: its default counts", () => {
    const { variants, recipeFile } = load(
      "recipe: recipe.yaml\nvariants: [{ name: a }, { name: b, set: { wrpo.objective: simpo, wrpo.beta: null } }]\n",
    );
    const betas = variants.map(({ overrides }) => loadRecipe(recipeFile, overrides).recipe.wrpo.beta);
    expect(betas).toEqual([0.1, 10]);
  });

  test("fields of one name are told apart in the names, and texts become names of folders", () => {
    const { variants } = load(
      "recipe: recipe.yaml\ngrid: { sft.epochs: [1], wrpo.epochs: [2], target.model: ['package:b/c'] }\n",
    );
    expect(variants.map(({ name }) => name)).toEqual(["sft.epochs-1-wrpo.epochs-2-package-b-c"]);
  });

  test("takes another recipe and changes for all from the command line, over its own and under its variants'", () => {
    const other = join(folder, "other.yaml");
    writeFileSync(
      other,
      `{prompts: {file: prompts.jsonl}, target: {model: "package:b"}, sources: [{name: a, model: "package:a"}], rewards: [{kind: checks}], evaluation: {prompts: {file: prompts.jsonl}}}`,
    );
    const { variants, recipeFile } = load(
      "recipe: nowhere.yaml\nset: { seed: 1 }\nvariants: [{ name: a }, { name: b, set: { wrpo.alpha: 1 } }]\n",
      { recipeFile: other, overrides: ["seed=2", "sampling.n=7"] },
    );
    const [a, b] = variants.map(({ overrides }) => loadRecipe(recipeFile, overrides).recipe);
    expect([a!.target.model, a!.seed, a!.sampling.n, b!.seed, b!.wrpo.alpha]).toEqual(["package:b", 2, 7, 2, 1]);
  });
});

describe("a mistake is told with its place", () => {
  test.each<[string, string, string[]]>([
    [
      "an unknown field",
      "recipe: recipe.yaml\nvariant: []\n",
      ["sweep.yaml:2, variant: unknown field", "Did you mean variants?"],
    ],
    ["a missing recipe", "variants: [{ name: a }]\n", ["sweep.yaml, recipe: is missing"]],
    [
      "a recipe that is not there",
      "recipe: reciep.yaml\nvariants: [{ name: a }]\n",
      ["sweep.yaml:1, recipe: there is no file reciep.yaml"],
    ],
    ["neither variants nor grid", "recipe: recipe.yaml\n", ["sweep.yaml: a sweep needs `variants` or a `grid`"]],
    [
      "a name twice",
      "recipe: recipe.yaml\nvariants:\n  - name: a\n  - name: A\n",
      ['sweep.yaml:4, variants.1.name: two variants are called "a"'],
    ],
    [
      "a name that is a file",
      "recipe: recipe.yaml\nvariants: [{ name: sweep.html }]\n",
      ['"sweep.html" is the name of a file of the sweep'],
    ],
    ["a name with a slash", "recipe: recipe.yaml\nvariants: [{ name: a/b }]\n", ["variants.0.name", "letters, digits"]],
    [
      "a grid without values",
      "recipe: recipe.yaml\ngrid: { wrpo.alpha: [] }\n",
      ["sweep.yaml:2, grid.wrpo.alpha: is empty"],
    ],
    ["an empty file", "", ["sweep.yaml: the sweep is empty", "recipes/ablations"]],
    [
      "a field that the recipe has not",
      "recipe: recipe.yaml\nvariants:\n  - name: a\n    set:\n      wrpo.alhpa: 1\n  - name: b\n",
      ["sweep.yaml:5, wrpo.alhpa: unknown field", "Did you mean alpha?", "In a."],
    ],
    [
      "a value that can't be, in a grid",
      "recipe: recipe.yaml\ngrid:\n  wrpo.alpha:\n    - 0.5\n    - 1.5\n",
      ["sweep.yaml:5, wrpo.alpha: is 1.5, and must be at most 1", "In alpha-1.5."],
    ],
    [
      "a field of all",
      "recipe: recipe.yaml\nset: { samplign.n: 2 }\nvariants: [{ name: a }, { name: b }]\n",
      ["sweep.yaml:2, samplign: unknown field", "Did you mean sampling?"],
    ],
    [
      "a setting of the recipe that a variant's objective has not",
      "recipe: recipe.yaml\nvariants: [{ name: a }, { name: b, set: { wrpo.objective: ipo } }]\n",
      ["recipe.yaml:5, wrpo.beta: ipo has no such setting", "In b."],
    ],
  ])("%s", (_, text, expected) => {
    const told = complaint(text);
    for (const words of expected) expect(told).toContain(words);
  });

  test("all mistakes at once, each once", () => {
    const told = complaint(
      "recipe: recipe.yaml\nset: { seed: -1 }\nvariants: [{ name: a, set: { wrpo.alpha: 2 } }, { name: b, set: { wrpo.epochs: 0 } }]\n",
    );
    expect(told.match(/sweep\.yaml:\d, [\w.]+/g)!.sort()).toEqual([
      "sweep.yaml:2, seed",
      "sweep.yaml:3, wrpo.alpha",
      "sweep.yaml:3, wrpo.epochs",
    ]);
  });

  test("a change for all of what the variants set themselves would change nothing", () => {
    const told = complaint("recipe: recipe.yaml\ngrid: { wrpo.alpha: [0.1, 1] }\n", { overrides: ["wrpo.alpha=0.5"] });
    expect(told).toContain("--set wrpo.alpha=0.5 would change nothing in the variants that set wrpo.alpha themselves");
    expect(told).toContain("alpha-0.1, alpha-1");
    expect(complaint("recipe: recipe.yaml\nvariants: [{ name: a }]\n", { overrides: ["wrpo.alhpa=0.5"] })).toContain(
      "Given by --set wrpo.alhpa=0.5.",
    );
  });
});
