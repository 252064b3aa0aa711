import { describe, expect, test } from "vitest";
import { describeError, RecipeError } from "./errors.ts";
import { loadRecipe } from "./recipe-file.ts";
import { catchError, good, recipeFolder } from "./testing/recipes.ts";

const { write, mistakes } = recipeFolder();

describe("overrides", () => {
  test("are taken by field and by entry, typed as in YAML, the later over the earlier", () => {
    const { recipe } = loadRecipe(write(good), [
      "wrpo.alpha=0.5",
      "sources.0.sampling.temperature=0",
      "sources.1.endpoint.model=other=1",
      "sampling={n: 2}",
      "wrpo.activation_checkpointing=layer",
      "wrpo.alpha=1",
    ]);
    expect(recipe.wrpo).toMatchObject({ alpha: 1, activation_checkpointing: "layer" });
    expect(recipe.sources[0]!.sampling).toEqual({ temperature: 0 });
    expect(recipe.sources[1]).toMatchObject({ endpoint: { model: "other=1", concurrency: 64 } });
    expect(recipe.sampling.n).toBe(2);
  });

  test("take a template as it was given, and in quotes by their rules", () => {
    const jinja = "{{ bos }}\n{% if x %}: y #{% endif %}\n";
    const given = [jinja, JSON.stringify(jinja), "plain", "'it''s'"].map((text) => `target.chat_template=${text}`);
    expect(given.map((text) => loadRecipe(write(good), [text]).recipe.target.chat_template)).toEqual([
      jinja,
      jinja,
      "plain",
      "it's",
    ]);
    expect(mistakes(good, ["target.chat_template="]).all[0]![2]).toMatch(/is empty/);
  });

  test("of an unknown field, with a wrong value, beyond a list, into a value", () => {
    expect(mistakes(good, ["wrpo.alhpa=1"])).toMatchObject({
      all: [[undefined, "wrpo.alhpa", "unknown field"]],
      hint: expect.stringMatching(/^Did you mean alpha\?.*Given by --set wrpo.alhpa=1\.$/),
    });
    expect(mistakes(good, ["evaluation.k=-1"])).toMatchObject({
      all: [[undefined, "evaluation.k", "is -1, and must be at least 1"]],
      hint: "Given by --set evaluation.k=-1.",
    });
    expect(mistakes(good, ["sources.2.name=x"]).all).toEqual([
      [undefined, "sources.2", "sources is a list with the entries 0 to 1, and has no 2"],
    ]);
    expect(mistakes(good, ["name.first=x"]).all).toEqual([
      [undefined, "name.first", "name holds a value and has no fields"],
    ]);
    expect(mistakes(good, ["seed"]).all[0]![2]).toBe("--set seed names no field and value");
    for (const odd of ["seed=[", "seed=*nothing"])
      expect(mistakes(good, [odd]).all[0]![2]).toContain(`the value of --set ${odd} is not YAML`);
  });

  test("a key written where its variable's name belongs is not shown", () => {
    const error = catchError(() => loadRecipe(write(good), ["sources.1.endpoint.key_env=sk-123-secret"]));
    expect(error).toBeInstanceOf(RecipeError);
    expect(describeError(error)).not.toContain("secret");
    expect(describeError(catchError(() => loadRecipe(write(good.replace("BIG_KEY", "sk-123-secret")))))).not.toContain(
      "secret",
    );
  });
});
