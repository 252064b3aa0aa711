import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect } from "vitest";
import { RecipeError } from "../errors.ts";
import { loadRecipe } from "../recipe-file.ts";

/** A recipe without a mistake. */
export const good = `name: first
prompts:
  file: train.jsonl
target:
  model: package:smollm2-135m-instruct
sources:
  - name: near
    model: package:gemma-3-270m
  - name: far
    endpoint:
      url: http://localhost:8000/v1
      model: big
      key_env: BIG_KEY
rewards:
  - kind: checks
  - kind: judge
    name: judge
    model: package:smollm2-135m-instruct
evaluation:
  prompts:
    file: held-out.jsonl
`;

/** What a piece of work throws. */
export function catchError(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

/** A folder for recipes, with the files that `good` names, until the tests of the file that asks for it are over. */
export function recipeFolder() {
  const folder = mkdtempSync(join(tmpdir(), "recipe-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "train.jsonl"), '{"prompt": "a"}\n');
  writeFileSync(join(folder, "held-out.jsonl"), '{"prompt": "b"}\n');
  const file = join(folder, "recipe.yaml");

  function write(text: string | Uint8Array): string {
    writeFileSync(file, text);
    return file;
  }

  /** The mistakes of a recipe as [line, field, message], and the first one's hint. */
  function mistakes(text: string | Uint8Array, overrides: readonly string[] = []) {
    try {
      loadRecipe(write(text), overrides);
    } catch (error) {
      if (!(error instanceof RecipeError)) throw error;
      const all = [error, ...error.others];
      for (const { place } of all) if (place.line !== undefined) expect(place.file).toBe(file);
      return { all: all.map(({ place, message }) => [place.line, place.field, message]), hint: error.hint };
    }
    throw new Error("the recipe was accepted");
  }

  /** The one mistake that comes of replacing a text in the good recipe. */
  function mistake(from: string, to: string) {
    expect(good).toContain(from);
    const { all, hint } = mistakes(good.replace(from, to));
    expect(all).toHaveLength(1);
    const [line, field, message] = all[0]!;
    return { line, field, message, hint };
  }

  return { folder, file, write, mistakes, mistake };
}
