import { describe, expect, test } from "vitest";
import {
  DataError,
  describeError,
  endpointSchema,
  type Prompt,
  RecipeError,
  recipeSchema,
  type ScoreRequest,
} from "../../schema/index.ts";
import { completion, sendJson } from "../../sources/testing/local-server.ts";
import { serving } from "../../sources/testing/serving.ts";
import type { ComponentOutcome } from "../component.ts";
import { openRewards } from "../open.ts";
import { type JudgeRecipe, openJudge } from "./index.ts";
import { isReference, recipeReferences, referenceOf, withReferences } from "./reference.ts";

const { serve, closing } = serving();
const noFiles = () => Promise.reject(new Error("none"));
const context = { modelFiles: noFiles, rewardModelFiles: noFiles, endpoint: { retryDelayMs: 1 } };
const place = { file: "rows.jsonl", line: 3 };
const bare: Prompt = { id: "p", messages: [{ role: "user", content: "6 x 7?" }], checks: [] };

const rewardsOf = (...fields: Readonly<Record<string, unknown>>[]) =>
  recipeSchema.shape.rewards.parse(
    fields.map((each, at) => ({
      kind: "judge",
      name: `j${at}`,
      endpoint: { url: "http://localhost:1", model: "m" },
      ...each,
    })),
  );
const reference = { column: "answer" };
const referring = (columns: Readonly<Record<string, unknown>> | undefined, of: object = reference): Prompt =>
  withReferences(bare, place, columns, recipeReferences(rewardsOf({ reference: of })));

describe("references of the prompts", () => {
  test("stand beside the checks, once for all judges of a column", () => {
    const references = recipeReferences(
      rewardsOf({ reference: { column: "a", optional: true } }, {}, { reference: { column: "a" } }, { reference }),
    );
    expect(references.map(({ column, optional, field }) => [column, optional, field])).toEqual([
      ["a", false, "rewards.2.reference"],
      ["answer", false, "rewards.3.reference"],
    ]);
    const prompt = withReferences(
      { ...bare, checks: [{ id: "own", args: {} }] },
      place,
      { a: 42n, answer: "x" },
      references,
    );
    expect(prompt.checks.map(isReference)).toEqual([false, true, true]);
    expect([referenceOf(prompt, "a"), referenceOf(prompt, "answer"), referenceOf(prompt, "b")]).toEqual([
      "42",
      "x",
      undefined,
    ]);
  });

  test.each([
    [undefined, /^rows.jsonl:3, answer: the row has no answer\n.*rewards.0.reference .*optional: true/],
    [{ answer: " \n" }, /^rows.jsonl:3, answer: the reference answer is empty/],
    [{ answer: ["4"] }, /^rows.jsonl:3, answer: is neither a text nor a number/],
    [{ answer: "\ud800" }, /half a surrogate pair/],
  ])("the columns %j are an error at the row's place", (columns, words) => {
    let thrown: unknown;
    try {
      referring(columns);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(DataError);
    expect(describeError(thrown)).toMatch(words);
  });

  test("an optional one may be missing, not empty", () => {
    expect(referring({}, { ...reference, optional: true }).checks).toEqual([]);
    expect(() => referring({ answer: "" }, { ...reference, optional: true })).toThrow("is empty");
  });
});

/** A judge that finds an answer good where it contains the reference that it is shown; what it was asked is kept. */
async function judging(fields: Readonly<Record<string, unknown>>) {
  const asked: string[] = [];
  const server = await serve(({ body }, answer) => {
    const text = body.messages[0]!.content;
    asked.push(text);
    const shown = /<reference>\n(.*?)\n<\/reference>/s.exec(text)![1]!;
    const answers = [...text.matchAll(/<answer(?: \d)?>\n(.*?)\n<\/answer/gs)].map(([, each]) => each!);
    const right = answers.map((each) => each.includes(shown));
    const rating = answers.length === 1 ? (right[0] ? 5 : 1) : right.indexOf(true) + 1;
    sendJson(answer, 200, completion([JSON.stringify({ rating })]));
  });
  const endpoint = endpointSchema.parse({ url: server.url, model: "m", retries: 1 });
  const recipe = rewardsOf({ endpoint, answer: "rating", reference, ...fields })[0] as JudgeRecipe;
  return { asked, recipe, judge: closing(await openJudge(recipe, context, "rewards.0")) };
}
const texts = ["It is 41.", "It is 42."];
const requestsOf = (prompt: Prompt): ScoreRequest[] => {
  const rivals = texts.map((text, k) => ({ key: `k${k}`, text }));
  return rivals.map(({ key, text }) => ({ responseKey: key, prompt, text, rivals }));
};
async function outcomesOf(
  { rate }: { rate: (requests: ScoreRequest[], signal: AbortSignal) => AsyncIterable<ComponentOutcome> },
  prompts: readonly Prompt[],
) {
  const all: ComponentOutcome[] = [];
  for await (const outcome of rate(prompts.flatMap(requestsOf), new AbortController().signal))
    all[outcome.index] = outcome;
  return all.map((outcome) => ("parts" in outcome ? (outcome.parts[0]?.value ?? "silent") : outcome.failure));
}

describe.each([{}, { compare: "pairs" }, { compare: "list" }])("a judge %j with a reference", (fields) => {
  test("is shown each prompt's own, by the general rubric", async () => {
    const { judge, asked } = await judging(fields);
    const [known, other] = [referring({ answer: 42 }), { ...referring({ answer: "41" }), id: "q" }];
    expect(await outcomesOf(judge, [known])).toEqual([0, 1]);
    expect(await outcomesOf(judge, [other])).toEqual([1, 0]);
    expect(asked.every((text) => text.includes("Here is a reference answer"))).toBe(true);
  });

  test("fails for a prompt without one, and is silent where it is optional; the others are rated as ever", async () => {
    const prompts = [bare, referring({ answer: 42 })];
    const strict = await judging(fields);
    const missing = "the prompt has no reference answer (column answer)";
    expect(await outcomesOf(strict.judge, prompts)).toEqual([missing, missing, 0, 1]);
    const lenient = await judging({ ...fields, reference: { ...reference, optional: true } });
    expect(await outcomesOf(lenient.judge, prompts)).toEqual(["silent", "silent", 0, 1]);
    const model = await openRewards([lenient.recipe], context);
    for await (const outcome of model.score(requestsOf(bare).slice(0, 1), new AbortController().signal))
      expect(outcome).toMatchObject({ failure: expect.stringContaining("no checks, tests or reference") as string });
    await model.close();
  });

  test("is another reward than without, and than by another column", async () => {
    const identityOf = async (more: object) => {
      const recipe = rewardsOf({ ...fields, ...more })[0] as JudgeRecipe;
      const { identity, close } = await openJudge(recipe, context, "rewards.0");
      await close();
      return identity;
    };
    const rubric = `{prompt} {response${"compare" in fields ? "s" : ""}} {reference}`;
    const identities = await Promise.all(
      [
        {},
        { reference },
        { reference: { column: "b" } },
        { reference, rubric },
        { reference: { column: "b" }, rubric },
      ].map(identityOf),
    );
    expect(new Set(identities).size).toBe(5);
    expect(await identityOf({ reference: { ...reference, optional: true } })).toBe(identities[1]);
  });

  test("a rubric and its reference need each other", async () => {
    const open = (more: object) => openJudge(rewardsOf({ ...fields, ...more })[0] as JudgeRecipe, context, "rewards.0");
    const both = "{prompt} {response} {responses}";
    await expect(open({ rubric: `${both} {reference}` })).rejects.toThrow(RecipeError);
    await expect(open({ rubric: both, reference })).rejects.toThrow("the rubric lacks {reference}");
  });
});
