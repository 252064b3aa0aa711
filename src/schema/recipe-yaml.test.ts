import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadRecipe } from "./recipe-file.ts";
import { catchError, good, recipeFolder } from "./testing/recipes.ts";

const { folder, write, mistakes } = recipeFolder();

describe("a file that is no recipe", () => {
  test("YAML mistakes with their line", () => {
    expect(mistakes(good.replace("name: first", "name: first\nname: second")).all).toEqual([
      [2, undefined, "this field stands twice in one map"],
    ]);
    expect(mistakes(good.replace("  file: train.jsonl", "\tfile: train.jsonl")).all[0]).toEqual([
      3,
      undefined,
      "a tab indents this line",
    ]);
    expect(mistakes(good.replace("name: first", 'name: "first')).all[0]![2]).toMatch(/^not YAML: /);
    expect(mistakes(`${good}---\nname: other\n`).all[0]).toEqual([
      22,
      undefined,
      "a second document begins here (`---`)",
    ]);
  });

  test("where the syntax breaks, only the first complaint: a data file in a recipe's place is one error", () => {
    const rows = Array.from({ length: 6 }, (_, i) => JSON.stringify({ id: `p${i}`, prompt: "Why?", checks: [] }));
    const { all } = mistakes(rows.join("\n"));
    expect(all).toEqual([[2, undefined, expect.stringMatching(/^not YAML: /)]]);
    expect(mistakes(good.replace("name: first", "name: first\nname: [")).all.length).toBeLessThanOrEqual(2);
  });

  test("not UTF-8, with the line", () => {
    const bytes = Buffer.from(good.replace("package:gemma-3-270m", "caf\u00e9"), "latin1");
    expect(mistakes(bytes).all).toEqual([
      [8, undefined, "not UTF-8: this line holds bytes that belong to no character"],
    ]);
  });

  test("empty, a list, a folder, not there", () => {
    expect(mistakes("# nothing\n").all).toEqual([[undefined, undefined, "the recipe is empty"]]);
    expect(mistakes("- a\n").all).toEqual([[1, undefined, "a recipe is a map of fields (`name: value`)"]]);
    expect(() => loadRecipe(tmpdir())).toThrow("this is a folder, not a recipe");
    write(good);
    expect(catchError(() => loadRecipe(folder))).toMatchObject({
      message: "this is a folder, not a recipe",
      hint: `Name the recipe in it: ${join(folder, "recipe.yaml")}`,
    });
    expect(catchError(() => loadRecipe(join(folder, "recipe.yml")))).toMatchObject({
      message: "there is no such recipe",
      hint: expect.stringMatching(/^Did you mean recipe.yaml\?/),
    });
  });
});
