import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fitBradleyTerry } from "./bradley-terry.ts";
import { pairKappa, type Vote } from "./kappa.ts";
import { fitLogistic } from "./logistic.ts";

/** Figures of scikit-learn and SciPy: bench/fixtures/comparison_truth.py. */
const truth = JSON.parse(readFileSync(new URL("./fixtures/comparisons.json", import.meta.url), "utf8")) as {
  readonly kappa: readonly { readonly votes: [Vote, Vote][]; readonly kappa: number }[];
  readonly logistic: readonly {
    readonly differences: readonly (readonly number[])[];
    readonly weights: readonly number[];
    readonly ridge: number;
    readonly free: readonly number[];
    readonly bounded: readonly number[];
  }[];
  readonly strengths: readonly { readonly wins: number[][]; readonly strengths: readonly number[] }[];
};

describe("Cohen's kappa of votes on pairs", () => {
  test.each(truth.kappa)("is scikit-learn's, each pair in both orders (%#)", ({ votes, kappa }) => {
    expect(pairKappa(votes)).toBeCloseTo(kappa, 12);
    expect(pairKappa(votes.map(([a, b]) => [-a as Vote, -b as Vote]))).toBeCloseTo(kappa, 12);
  });

  test("is 1 for equal votes, -1 for opposite ones, none where nobody tells anything apart", () => {
    const votes: Vote[] = [1, 1, -1, 1];
    expect(pairKappa(votes.map((vote) => [vote, vote]))).toBe(1);
    expect(pairKappa(votes.map((vote) => [vote, -vote as Vote]))).toBe(-1);
    expect(pairKappa([[0, 0]])).toBeNull();
    expect(pairKappa([])).toBeNull();
  });
});

describe("the logistic fit", () => {
  test.each(truth.logistic)("is scikit-learn's, and SciPy's where no weight may be below 0 (%#)", (each) => {
    const contrasts = each.differences.map((difference, at) => ({ difference, weight: each.weights[at]! }));
    const near = (given: readonly number[], digits: number) =>
      given.map((value) => expect.closeTo(value, digits) as number);
    expect(fitLogistic(contrasts, { ridge: each.ridge })).toEqual(near(each.free, 6));
    const bounded = fitLogistic(contrasts, { ridge: each.ridge, nonNegative: true });
    expect(bounded).toEqual(near(each.bounded, 4));
    expect(Math.min(...bounded)).toBeGreaterThanOrEqual(0);
  });

  test("of a separable sample is finite, and of a feature that never differs 0", () => {
    const [one, none] = fitLogistic([{ difference: [1, 0], weight: 1 }], { ridge: 1 });
    // w = sigmoid(-w).
    expect(one).toBeCloseTo(1 / (1 + Math.exp(one!)), 12);
    expect(none).toBe(0);
  });
});

describe("Bradley and Terry's strengths", () => {
  test.each(truth.strengths)("are scikit-learn's unpenalised logistic regression (%#)", ({ wins, strengths }) => {
    const found = fitBradleyTerry(wins);
    expect(found.bounded).toBe(false);
    expect(found.strengths).toEqual(strengths.map((value) => expect.closeTo(value, 5) as number));
  });

  test("of the American League East in 1987 are those that Agresti gives (Categorical Data Analysis, table 10.10)", () => {
    // Milwaukee, Detroit, Toronto, New York, Boston, Cleveland, Baltimore.
    const { strengths } = fitBradleyTerry([
      [0, 7, 9, 7, 7, 9, 11],
      [6, 0, 7, 5, 11, 9, 9],
      [4, 6, 0, 7, 7, 8, 12],
      [6, 8, 6, 0, 6, 7, 10],
      [6, 2, 6, 7, 0, 7, 12],
      [4, 4, 5, 6, 6, 0, 6],
      [2, 4, 1, 3, 1, 7, 0],
    ]);
    const overLast = strengths.map((each) => Number((each! - strengths[6]!).toFixed(2)));
    expect(overLast).toEqual([1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0]);
  });

  test("of two are the log-odds, and the expected wins are those won", () => {
    const { strengths } = fitBradleyTerry([
      [0, 7.5],
      [2.5, 0],
    ]);
    expect(strengths[0]! - strengths[1]!).toBeCloseTo(Math.log(3), 10);
    const { wins } = truth.strengths[1]!;
    const found = fitBradleyTerry(wins).strengths as number[];
    for (const [i, row] of wins.entries()) {
      const won = row.reduce((sum, each) => sum + each, 0);
      const expected = row.reduce((sum, each, j) => {
        return sum + (each + wins[j]![i]!) / (1 + Math.exp(found[j]! - found[i]!));
      }, 0);
      expect(expected).toBeCloseTo(won, 8);
    }
  });

  test("are bounded where one never lost, or groups never met; one that met nobody has none", () => {
    const never = fitBradleyTerry([
      [0, 5, 0],
      [0, 0, 0],
      [0, 0, 0],
    ]);
    expect(never).toEqual({ strengths: [expect.any(Number), expect.any(Number), null], bounded: true });
    // 5 won and half of one tie against a mean player: 5 sigmoid(-2 s) = sigmoid(s) - 1/2.
    const s = never.strengths[0]!;
    expect(5 / (1 + Math.exp(2 * s))).toBeCloseTo(1 / (1 + Math.exp(-s)) - 0.5, 10);
    const apart = fitBradleyTerry([
      [0, 3, 0, 0],
      [1, 0, 0, 0],
      [0, 0, 0, 2],
      [0, 0, 2, 0],
    ]);
    expect(apart.bounded).toBe(true);
    expect(apart.strengths[2]).toBeCloseTo(0, 10);
    expect(fitBradleyTerry([[0]])).toEqual({ strengths: [null], bounded: false });
  });
});
