import { describe, expect, test } from "vitest";
import type { Prompt, RewardRecipe, Score, ScoreFailure } from "../schema/index.ts";
import { contentKey, DataError, describeError, RecipeError } from "../schema/index.ts";
import type { RewardComponent } from "./component.ts";
import { composeRewards, openRewards } from "./index.ts";
import { columnsOf, recipeChecks, withRecipeChecks } from "./recipe-checks.ts";

const place = { file: "rows.jsonl", line: 3 };
const prompt: Prompt = {
  id: "p",
  messages: [{ role: "user", content: "2 + 2?" }],
  checks: [{ id: "punctuation:no_comma", args: {} }],
};
const correct: RewardRecipe = {
  kind: "checks",
  name: "correct",
  weight: 1,
  checks: [{ id: "math:answer", args: { answer: { column: "answer" } } }],
};
const form: RewardRecipe = {
  kind: "checks",
  name: "form",
  weight: 1,
  checks: [{ id: "regex:match", args: { pattern: "^1\\." } }],
};
const own: RewardRecipe = { kind: "checks", weight: 1 };
const withChecks = (columns: Record<string, unknown>, rewards: RewardRecipe[] = [own, correct, form]) =>
  withRecipeChecks({ prompt, place, columns }, recipeChecks(rewards));

async function scoreOf(rewards: RewardRecipe[], text: string, columns: Record<string, unknown> = { answer: "4" }) {
  const model = await openRewards(rewards, {} as never);
  const asked = { responseKey: "r", prompt: withChecks(columns, rewards), text };
  const outcomes: (Score | ScoreFailure)[] = [];
  for await (const outcome of model.score([asked], new AbortController().signal)) outcomes.push(outcome);
  return outcomes[0]!;
}
const valueOfScore = (outcome: Score | ScoreFailure) => ("value" in outcome ? outcome.value : outcome.failure);

describe("checks of a recipe", () => {
  test("stand beside the prompt's own with the values of its columns", () => {
    expect(columnsOf(recipeChecks([own, correct, form]))).toEqual(["answer"]);
    expect(withChecks({ answer: 4n }).checks).toEqual([
      { id: "punctuation:no_comma", args: {} },
      { id: "correct/math:answer", args: { answer: 4 } },
      { id: "form/regex:match", args: { pattern: "^1\\." } },
    ]);
    expect(contentKey(withChecks({ answer: "4" }).checks)).not.toBe(contentKey(withChecks({ answer: "5" }).checks));
  });

  test("a row without the column, or with no such argument, is an error at its place", () => {
    const thrown = (columns: Record<string, unknown>) => {
      try {
        withChecks(columns);
      } catch (error) {
        expect(error).toBeInstanceOf(DataError);
        return describeError(error);
      }
      return "nothing";
    };
    expect(thrown({})).toMatch(/^rows.jsonl:3, answer: the row has no answer\n.*rewards.1.checks.0 .* optional: true/);
    expect(thrown({ answer: { a: 1 } })).toMatch(/^rows.jsonl:3, answer: math:answer: /);
    const optional: RewardRecipe = {
      ...correct,
      checks: [{ id: "math:answer", args: { answer: { column: "answer", optional: true } } }],
    };
    expect(withChecks({}, [optional]).checks).toEqual(prompt.checks);
  });

  test("an unknown id and a wrong argument are errors of the recipe", () => {
    const wrong = (id: string, args: Record<string, unknown>) => () =>
      recipeChecks([own, { ...form, checks: [{ id, args }] }]);
    expect(wrong("math:anwser", { answer: { column: "answer" } })).toThrow(RecipeError);
    expect(wrong("math:anwser", {})).toThrow(/there is no check "math:anwser"/);
    expect(wrong("regex:match", { pattern: "(" })).toThrow(/is no regular expression/);
    expect(wrong("json:schema", { schema: { type: "x" } })).toThrow(/is no JSON schema/);
  });

  test("each reward sees its own, and its parts bear its name", async () => {
    const outcome = (await scoreOf([own, correct, form], "1. 2, 2\nThe answer is 4.")) as Score;
    expect(outcome.parts.map(({ name, value }) => [name, value]).sort()).toEqual([
      ["correct/math:answer", 1],
      ["form/regex:match", 1],
      ["punctuation:no_comma", 0],
    ]);
    expect(outcome.value).toBeCloseTo(2 / 3, 12);
  });
});

describe("gates and bounds", () => {
  const gate = { ...form, gate: 1 };

  test("a closed gate is worth `otherwise`, an open one nothing; its parts are kept", async () => {
    expect(valueOfScore(await scoreOf([correct, gate], "1. It is 4."))).toBe(1);
    const closed = (await scoreOf([correct, gate], "It is 4.")) as Score;
    expect(closed.value).toBe(0);
    expect(closed.parts).toContainEqual({ name: "correct/math:answer", value: 1, weight: 0 });
    expect(closed.parts).toContainEqual({ name: "form/regex:match", value: 0, weight: 0 });
    expect(valueOfScore(await scoreOf([correct, { ...gate, otherwise: -2 }], "It is 4."))).toBe(-2);
    expect(closed.parts.reduce((sum, { value, weight }) => sum + value * weight, 0)).toBe(closed.value);
  });

  test("a value is held within its bounds, and both are kept", async () => {
    const clipped = (await scoreOf([{ ...correct, clip: [0.2, 0.9] }], "It is 5.")) as Score;
    expect(clipped.value).toBe(0.2);
    expect(clipped.parts).toEqual([
      { name: "correct/math:answer", value: 0, weight: 0 },
      { name: "correct:clipped", value: 0.2, weight: 1 },
    ]);
    expect(valueOfScore(await scoreOf([{ ...correct, clip: [0.2, 0.9] }], "It is 4."))).toBe(0.9);
  });

  test("the identity changes with gates and bounds, and is what it was without", async () => {
    const identity = async (rewards: RewardRecipe[]) => (await openRewards(rewards, {} as never)).identity;
    const all = await Promise.all([
      identity([correct, form]),
      identity([correct, gate]),
      identity([correct, { ...gate, gate: 0.5 }]),
      identity([correct, { ...gate, otherwise: -1 }]),
      identity([{ ...correct, clip: [0, 0.5] }, form]),
      identity([{ ...correct, clip: [0, 0.6] }, form]),
    ]);
    expect(new Set(all).size).toBe(all.length);
    const alone = contentKey({ kind: "checks", version: 1 });
    expect(await identity([own])).toBe(contentKey({ kind: "mean", components: [[alone, 1]] }));
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("a reward of %s is a failure that says so", async (value) => {
    const odd: RewardComponent = {
      name: "odd",
      identity: "odd",
      async *rate() {
        yield { index: 0, parts: [{ name: "odd", value, weight: 1 }] };
      },
      async close() {},
    };
    const model = composeRewards([{ component: odd, weight: 1 }]);
    for await (const outcome of model.score([{ responseKey: "r", prompt, text: "x" }], new AbortController().signal))
      expect(outcome).toEqual({ responseKey: "r", failure: `odd: its value is ${value}, no number` });
  });

  test("a pattern that hangs costs its response the score, and says so", async () => {
    const slow: RewardRecipe = { ...form, checks: [{ id: "regex:match", args: { pattern: "^(b+)+$" } }] };
    const outcome = await scoreOf([slow], `${"b".repeat(60)}!`);
    expect(valueOfScore(outcome)).toMatch(/^form: the pattern .* took longer than 250 ms/);
  });
});
