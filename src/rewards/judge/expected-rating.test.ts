import { describe, expect, test } from "vitest";
import { RecipeError } from "../../schema/index.ts";
import { expectedRating } from "./expected-rating.ts";
import { compileRubric, defaultRubric } from "./rubric.ts";

describe("expected rating", () => {
  test("of the ratings alone, mapped to 0..1", () => {
    // (1 * 0.1 + 2 * 0.1 + 3 * 0.2) / 0.4 = 2.25 on a scale of 1..3
    expect(expectedRating([0.1, 0.1, 0.2], [1, 3])).toEqual({ value: 0.625, mass: expect.closeTo(0.4, 12) as number });
    expect(expectedRating([0, 0, 1], [0, 2])).toEqual({ value: 1, mass: 1 });
    expect(expectedRating([0.5, 0, 0], [0, 2])).toEqual({ value: 0, mass: 0.5 });
  });

  test("a scale's own shift and width do not matter", () => {
    expect(expectedRating([0.1, 0.3], [6, 7])).toEqual(expectedRating([0.1, 0.3], [0, 1]));
  });

  test("below 1 % of the probability there is none", () => {
    expect(expectedRating([0.01, 0], [0, 1])).toHaveProperty("value");
    expect(expectedRating([0.0099, 0], [0, 1])).toEqual({
      failure: "only 0.99 % of the judge's probability is on the ratings 0 to 1, at least 1 % is wanted",
    });
    expect(expectedRating([0, 0], [0, 1])).toHaveProperty("failure");
  });

  test.each([[Number.NaN], [Number.POSITIVE_INFINITY], [1.1], [-0.2]])("%s is no probability", (p) => {
    expect(expectedRating([0.5, p], [0, 1])).toMatchObject({
      failure: expect.stringContaining("not probabilities") as string,
    });
  });
});

describe("rubric", () => {
  const request = (prompt: string, text: string) => ({
    responseKey: "r",
    prompt: { id: "p", messages: [{ role: "user" as const, content: prompt }], checks: [] },
    text,
  });

  test("texts stand in their places as they are, also more than once", () => {
    const told = compileRubric(
      "{response}|{prompt}|{response}|{other}",
      "f",
    )(request("$& {response} $1", "{prompt} $`"));
    expect(told).toEqual([{ role: "user", content: "{prompt} $`|$& {response} $1|{prompt} $`|{other}" }]);
  });

  test("a conversation is told with its roles", () => {
    const messages = [
      { role: "user" as const, content: "Hi" },
      { role: "assistant" as const, content: "Hello" },
      { role: "user" as const, content: "Bye" },
    ];
    const told = compileRubric(
      "{prompt}/{response}",
      "f",
    )({ ...request("", "x"), prompt: { id: "p", messages, checks: [] } });
    expect(told[0]!.content).toBe("[user]\nHi\n\n[assistant]\nHello\n\n[user]\nBye/x");
  });

  test("a placeholder that is missing is named", () => {
    expect(() => compileRubric("Rate it.", "f")).toThrow(RecipeError);
    expect(() => compileRubric("Rate it.", "f")).toThrow("the rubric lacks {prompt} and {response}");
    expect(() => compileRubric(defaultRubric([0, 9], "probabilities"), "f")).not.toThrow();
    expect(defaultRubric([0, 9], "probabilities")).toContain("from 0 (of no use) to 9 (");
  });
});
