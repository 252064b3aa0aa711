import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { instructions } from "./registry.ts";

// Written by bench/fixtures/math_truth.py with math-verify 0.9.0. `meant` is what the one who wrote the case holds for true.
const truth = z
  .array(
    z.strictObject({
      reference: z.string(),
      response: z.string(),
      meant: z.boolean().optional(),
      verified: z.boolean(),
    }),
  )
  .parse(JSON.parse(readFileSync(new URL("../fixtures/math.json", import.meta.url), "utf8")));

const mathAnswer = instructions.get("math:answer")!;
const isRight = (answer: unknown, response: string, more: object = {}) =>
  mathAnswer.rate(response, { answer, ...more }) === 1;

/** Cases in which math-verify finds no match and this does, and why; the other way round there is none. */
const further: readonly (readonly [reference: string, response: string])[] = [
  // A number with a full stop behind it, with thin spaces, in scientific notation, with a degree sign, in text.
  ["42", "\\boxed{42.}"],
  ["1234567", "\\boxed{1\\,234\\,567}"],
  ["1234567", "\\boxed{1.234567e6}"],
  ["30^\\circ", "\\boxed{30°}"],
  ["0.000001", "\\boxed{1e-6}"],
  ["5", "\\boxed{\\text{5 apples}}"],
  ["2", "The answer is \\textbf{2}."],
  ["100", "The price is \\$100."],
  ["2.5", "It takes 2 1/2 hours."],
  // LaTeX's short arguments; the imaginary unit as a root.
  ["\\binom{5}{2}", "\\boxed{\\binom52}"],
  ["i", "\\boxed{\\sqrt{-1}}"],
  // An inequality is the interval of its variable, whichever way it is written.
  ["(-\\infty,2)", "\\boxed{x<2}"],
  ["(-\\infty,2)", "\\boxed{2>x}"],
  ["1<x<3", "\\boxed{3>x>1}"],
  // Other boxes; of two that no "and" joins, the last counts.
  ["5", "\\fbox{5}"],
  ["72", "First I thought \\boxed{71}. Checking again, it is \\boxed{72}."],
  // A formula in a line of its own, with a full stop in it.
  ["\\frac{1}{2}", "Therefore \\[ p = \\frac{1}{2}. \\]"],
];

describe("math:answer", () => {
  test("agrees with math-verify but for the cases named here", () => {
    const differing = truth.filter(({ reference, response, verified }) => isRight(reference, response) !== verified);
    expect(differing.filter(({ verified }) => verified)).toEqual([]);
    const pairs = differing.map(({ reference, response }) => [reference, response]);
    expect(pairs.sort()).toEqual([...further].sort());
    expect(truth.filter(({ verified }) => verified).length).toBeGreaterThan(250);
    expect(truth.filter(({ verified }) => !verified).length).toBeGreaterThan(200);
  });

  test("what is written to be the same is, and what is written to differ does", () => {
    const wrong = truth.filter(
      ({ reference, response, meant }) => meant !== undefined && isRight(reference, response) !== meant,
    );
    expect(wrong).toEqual([]);
  });

  test("equality has no direction", () => {
    const bare = (response: string) => response.slice("\\boxed{".length, -1);
    const cases = truth.filter(({ meant, response }) => meant !== undefined && bare(response).trim() !== "");
    const oneWay = cases.filter(
      ({ reference, response, meant }) => isRight(bare(response), `\\boxed{${reference}}`) !== meant,
    );
    expect(oneWay.map(({ reference, response }) => [reference, response])).toEqual([]);
  });

  test("an expanded polynomial is its product, and is not when one coefficient is another", () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const [a, b, c, d] = [3, 5, 7, 11].map((prime) => ((seed * prime) % 13) - 6) as [number, number, number, number];
      const reference = `(${a}x + ${b})(${c}x - ${d}y)`;
      const terms = (shift: number) => `${a * c}x^2 + ${-a * d}xy + ${b * c + shift}x + ${-b * d}y`;
      expect(isRight(reference, `\\boxed{${terms(0)}}`), reference).toBe(true);
      expect(isRight(reference, `\\boxed{${terms(1)}}`), reference).toBe(false);
    }
  });

  test("fractions are exact at any size, and as close as was asked for", () => {
    const large = 10n ** 40n;
    expect(isRight(`\\frac{${large}}{${large + 1n}}`, `\\boxed{${large * 3n}/${(large + 1n) * 3n}}`)).toBe(true);
    expect(isRight(`\\frac{${large}}{${large + 1n}}`, `\\boxed{\\frac{${large}}{${large + 2n}}}`)).toBe(false);
    expect(isRight("9.81", "about 9.8 m/s")).toBe(false);
    expect(isRight("9.81", "about 9.8 m/s", { tolerance: 0.01 })).toBe(true);
    expect(isRight("9.81", "about 9.6 m/s", { tolerance: 0.01 })).toBe(false);
  });

  test("the reference may be a data set's whole solution, a number, or one of several", () => {
    const gsm8k = "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nIn all 48+24 = <<48+24=72>>72.\n#### 72";
    expect(isRight(gsm8k, "The answer is 72.")).toBe(true);
    expect(isRight(gsm8k, "The answer is 24.")).toBe(false);
    expect(isRight("so that we get $\\boxed{\\frac{3}{4}}$, as said.\n", "It is 0.75.")).toBe(true);
    expect(isRight(72, "#### 72")).toBe(true);
    // The mark in the midst of a line, as a table's cell has it.
    expect(isRight("48+24=72 #### 72", "In all 48 + 24 = 72")).toBe(true);
    expect(isRight("48+24=72 #### 72", "In all 48 + 24 = 71")).toBe(false);
    expect(isRight("1 #### 2 #### 72", "so 72 #### 72")).toBe(true);
    expect(isRight(["3", "4"], "\\boxed{4}")).toBe(true);
    expect(isRight("Evelyn", "The answer is Evelyn.")).toBe(true);
    expect(isRight("\\text{Evelyn}", "\\boxed{evelyn}")).toBe(true);
    expect(isRight("Evelyn", "The answer is Eve.")).toBe(false);
    expect(() => isRight("this and ".repeat(40), "5")).toThrow(/too long for an answer/);
    expect(() => isRight(" ", "5")).toThrow(/empty/);
  });

  test("of a response what it states last, unless it marks another as its answer", () => {
    expect(isRight("7", "\\boxed{7}. Check: 3 + 4 = 8 - 1.")).toBe(true);
    expect(isRight("12", "The value of $f(x)$ at 0 is 12.")).toBe(true);
    expect(isRight("12", "12 is what 5 and 7 make")).toBe(false);
    expect(isRight("-4", "It drops by 10-14, so it is at -4 degrees")).toBe(true);
    expect(isRight("4", "5-4")).toBe(false);
    expect(isRight("\\{2, 3\\}", "so \\boxed{2} or \\boxed{3}.")).toBe(true);
    expect(isRight("1/0", "\\boxed{2/0}")).toBe(false);
  });

  test("hostile texts take no time to speak of", () => {
    const units = [
      "\\(",
      "$",
      "\\boxed{",
      "(((",
      "1,",
      "answer is ",
      "answer:\t",
      " ",
      "-",
      "\\frac",
      "^{",
      "1e",
      "{,}",
      "\\text{",
    ];
    for (const unit of units) {
      const text = unit.repeat(Math.ceil(300_000 / unit.length));
      expect(isRight("5", text), unit).toBe(false);
      expect(isRight("5", `\\boxed{${unit.repeat(40)}}`), unit).toBe(false);
    }
    expect(isRight("5", "\\boxed{9^{9^{9^{9^9}}}}")).toBe(false);
    expect(isRight("5", `\\boxed{${"9".repeat(1500)}!}`)).toBe(false);
    expect(isRight("5", "\\boxed{\\binom{99999999}{9999999}}")).toBe(false);
  });
});
