import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { RecipeError } from "./errors.ts";
import { type OptimiserName, optimiserDefaults } from "./optimisation.ts";
import { recipeSchema } from "./recipe.ts";
import { loadRecipe } from "./recipe-file.ts";

const folder = mkdtempSync(join(tmpdir(), "optimisation-"));
afterAll(() => rmSync(folder, { recursive: true }));
for (const prompts of ["train.jsonl", "held-out.jsonl"]) writeFileSync(join(folder, prompts), "");

/** The one mistake of a recipe with this line. */
function mistake(line: string) {
  const file = join(folder, "recipe.yaml");
  const rest =
    "prompts: {file: train.jsonl}\ntarget: {model: a}\nsources: [{name: a, model: a}]\nrewards: [{kind: checks}]\n" +
    "evaluation: {prompts: {file: held-out.jsonl}}\n";
  writeFileSync(file, `${line}\n${rest}`);
  try {
    loadRecipe(file);
  } catch (error) {
    const { message, hint, place, others } = error as RecipeError;
    expect([place.line, others]).toEqual([1, []]);
    return { message, hint, field: place.field };
  }
  throw new Error("it was accepted");
}

describe("a training", () => {
  test("has the settings of its optimiser, and those only", () => {
    const settings = ({ optimiser }: { optimiser: OptimiserName }) => Object.keys(optimiserDefaults[optimiser]).sort();
    for (const optimiser of Object.keys(optimiserDefaults) as OptimiserName[]) {
      const sft = recipeSchema.shape.sft.parse({ optimiser });
      const found = Object.keys(sft).filter((field) => /^(adam|adafactor|lion)_|momentum|nesterov/.test(field));
      expect(found.sort()).toEqual(settings({ optimiser }));
      expect(sft).toMatchObject(optimiserDefaults[optimiser]);
      expect(recipeSchema.shape.sft.parse(sft)).toEqual(sft);
    }
    expect(recipeSchema.shape.wrpo.parse({ optimiser: "lion", lion_beta1: 0.95 })).toMatchObject({ lion_beta1: 0.95 });
  });

  test("has one length of the warm-up, and the settings of its schedule", () => {
    const parse = (given: object) => {
      const found = recipeSchema.shape.sft.parse(given);
      expect(recipeSchema.shape.sft.parse(found)).toEqual(found);
      return Object.fromEntries(Object.entries(found).filter(([field]) => /^(warmup|decay)_/.test(field)));
    };
    expect(parse({})).toEqual({ warmup_ratio: 0.1 });
    expect(parse({ warmup_steps: 0 })).toEqual({ warmup_steps: 0 });
    expect(parse({ schedule: "wsd", decay_shape: "cosine" })).toEqual({
      ...{ warmup_ratio: 0.1, decay_ratio: 0.2, decay_shape: "cosine" },
    });
  });
});

describe("refused, by file, line and field, is", () => {
  test("activation checkpointing in the words of before", () => {
    for (const word of ["true", "false"])
      expect(mistake(`sft: {activation_checkpointing: ${word}}`)).toEqual({
        field: "sft.activation_checkpointing",
        message: "true is written `layer` now, and false `none`; `selective` lies between",
        hint: undefined,
      });
    expect(mistake("wrpo: {activation_checkpointing: layers}").hint).toMatch(/Did you mean layer\?/);
  });

  test("a setting that the optimiser does not have", () => {
    expect(mistake("sft: {optimiser: lion, adam_beta1: 0.9}")).toMatchObject({
      field: "sft.adam_beta1",
      message: "lion has no such setting; it has lion_beta1, lion_beta2",
    });
    expect(mistake("wrpo: {lion_beta2: 0.9}")).toMatchObject({ field: "wrpo.lion_beta2" });
    expect(mistake("sft: {optimiser: sgd, momentum: 0, nesterov: true}")).toMatchObject({
      field: "sft.nesterov",
      message: "looks ahead along a momentum, which is 0 here",
    });
    expect(mistake("sft: {optimiser: adam}")).toMatchObject({
      field: "sft.optimiser",
      hint: expect.stringMatching(/^Did you mean adamw\?/),
    });
  });

  test("a setting that the schedule does not have, and two lengths of a warm-up", () => {
    expect(mistake("sft: {decay_ratio: 0.3}")).toMatchObject({
      field: "sft.decay_ratio",
      message: "cosine has no such setting; it is one of wsd",
    });
    expect(mistake("wrpo: {warmup_steps: 10, warmup_ratio: 0.1}")).toMatchObject({
      field: "wrpo.warmup_steps",
      message: "warmup_ratio says how long the warm-up is, too: write one of the two",
    });
  });

  test("frozen weights beside lora, and a target module of no form", () => {
    expect(mistake("sft: {lora: {}, frozen: [embed_tokens]}")).toMatchObject({
      field: "sft.frozen",
      message: "lora trains its adapters only: choose among them by lora.target_modules",
    });
    expect(mistake("sft: {lora: {target_modules: all}}")).toMatchObject({
      field: "sft.lora.target_modules",
      message: 'is "all", and should be a list',
    });
    expect(mistake("wrpo: {lora: {r: 8}}")).toMatchObject({
      field: "wrpo.lora.r",
      message: "unknown field",
    });
    expect(mistake("wrpo: {frozen: ['embed tokens']}").message).toMatch(/parts of a weight's name/);
  });
});
