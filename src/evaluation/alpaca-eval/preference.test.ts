import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { vectorOrderOfTies } from "./folds.ts";
import { isSwitched } from "./order.ts";
import { forModel, labelIn, preferenceOf } from "./preference.ts";

const fixture = <Value>(name: string): Value =>
  JSON.parse(readFileSync(new URL(`../fixtures/alpaca-eval/${name}.json`, import.meta.url), "utf8"));

interface Case {
  readonly model: string;
  readonly instruction: string;
  readonly is_switched: boolean;
  readonly top_logprobs: readonly (readonly [token: string, logprob: number])[];
  readonly preference: number;
}
const cases = fixture<readonly Case[]>("logprob_cases");
const { instructions, switched, ties } = fixture<{
  readonly instructions: readonly string[];
  readonly switched: readonly boolean[];
  readonly ties: { readonly from: number; readonly to: number; readonly sha256: string };
}>("order");

test("order and preference of published judgements are those that were stored", () => {
  expect(cases).toHaveLength(40);
  for (const { instruction, is_switched, top_logprobs, preference } of cases) {
    expect(isSwitched(instruction), instruction).toBe(is_switched);
    const seen = preferenceOf(top_logprobs.map(([token, logprob]) => ({ token, logprob })));
    // They are stored with ten decimals.
    expect(Math.abs(forModel(seen!, is_switched) - preference), instruction).toBeLessThan(6e-11);
  }
});

// Written by bench/fixtures/alpaca_eval_truth.py with alpaca-eval's own function.
test("the order of two outputs is drawn from the instruction as alpaca-eval draws it", () => {
  expect(instructions.map(isSwitched)).toEqual(switched);
  expect(new Set(switched).size).toBe(2);
});

describe("a preference", () => {
  const tokens = (given: Readonly<Record<string, number>>) =>
    Object.entries(given).map(([token, logprob]) => ({ token, logprob }));

  test("is certain where one label is missing, and none where both are", () => {
    expect(preferenceOf(tokens({ m: -0.2, The: -3 }))).toBe(1);
    expect(preferenceOf(tokens({ M: -9, The: -0.1 }))).toBe(2);
    expect(preferenceOf(tokens({ " m": -0.1, "M.": -3, Both: -4 }))).toBeNull();
    expect(preferenceOf([])).toBeNull();
  });

  test("holds for labels that are very improbable, too", () => {
    expect(preferenceOf(tokens({ m: -800, M: -800, I: -1e-9 }))).toBe(1.5);
    expect(preferenceOf(tokens({ m: -800, M: Number.NEGATIVE_INFINITY }))).toBe(1);
  });

  test.each([
    ["NaN", { m: Number.NaN, M: -0.1 }],
    ["NaN of another token", { m: -1, M: -2, The: Number.NaN }],
    ["probabilities over 1", { m: 3, M: -0.1 }],
    ["infinity", { m: Number.POSITIVE_INFINITY, M: -0.1 }],
    ["probabilities in place of log-probs", { m: 0.7, M: 0.3 }],
    ["minus infinity for both", { m: Number.NEGATIVE_INFINITY, M: Number.NEGATIVE_INFINITY }],
  ])("is none where the log-probs are garbage: %s", (_, given) => {
    expect(preferenceOf(tokens(given))).toBeNull();
  });
});

test.each([
  ["m", "m"],
  [" M\n", "M"],
  ['"m".', "m"],
  ["**M**", "M"],
  ["", null],
  ["m or M", null],
  ["mM", null],
  ["Model M is better", null],
  ["I can't choose.", null],
  ["м", null],
] as const)("the label in the answer %j is %j", (text, label) => {
  expect(labelIn(text)).toBe(label);
});

// Numpy's own orders, by the same script on a processor with AVX-512.
test("ties of the vector sort are left in numpy's order, whatever their number", () => {
  const digest = createHash("sha256");
  for (let count = ties.from; count < ties.to; count += 1) digest.update(vectorOrderOfTies(count).join());
  expect(digest.digest("hex")).toBe(ties.sha256);
  expect(() => vectorOrderOfTies(256)).toThrow(RangeError);
});
