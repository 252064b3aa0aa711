import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { boundedInteger, mersenneTwister } from "../random/mersenne-twister.ts";
import { foldsOf, orderOfTies } from "./folds.ts";
import { fitLasso } from "./lasso-logistic.ts";
import { atEqualLength, type Compared, type Gamed, lengthControlled } from "./length-control.ts";
import { winRate } from "./win-rate.ts";

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/alpaca-eval/${name}.json`, import.meta.url), "utf8"));

interface Reference {
  readonly instruction_difficulty: readonly number[];
  readonly gamed: Readonly<Record<"index" | "preference" | "std_delta_len", readonly number[]>>;
}
interface Annotations {
  readonly preference: readonly number[];
  readonly len_baseline: readonly number[];
  readonly len_model: readonly number[];
}
type Official = Readonly<Record<"win_rate" | "standard_error" | "n_wins" | "n_wins_base" | "n_draws", number>> &
  Readonly<Record<"n_total" | "discrete_win_rate" | "length_controlled_winrate" | "lc_standard_error" | "C", number>> &
  Readonly<Record<"coef_len_diff_bias" | "cv_mean_scores" | "glm_preference_first10", readonly number[]>>;
interface Expected {
  readonly models: Readonly<Record<string, { official_numpy_scalar_sort: Official }>>;
}

const { instruction_difficulty, gamed: columns } = fixture("glm_reference") as Reference;
const gamed = columns.index.map(
  (index, k): Gamed => ({
    preference: columns.preference[k]!,
    length: columns.std_delta_len[k]!,
    difficulty: instruction_difficulty[index]!,
  }),
);
const rowsOf = ({ preference, len_baseline, len_model }: Annotations): Compared[] =>
  preference.map((value, i) => ({ preference: value, baselineLength: len_baseline[i]!, modelLength: len_model[i]! }));
const expected = fixture("expected") as Expected;

describe.each(Object.entries(expected.models))("%s", (model, { official_numpy_scalar_sort: official }) => {
  const rows = rowsOf(fixture(model) as Annotations);

  test("win rate, its error and the counts are alpaca-eval's", () => {
    const found = winRate(rows.map(({ preference }) => preference));
    const { win_rate, standard_error, n_wins, n_wins_base, n_draws, n_total, discrete_win_rate } = official;
    expect([found.wins, found.losses, found.draws, found.total]).toEqual([n_wins, n_wins_base, n_draws, n_total]);
    expect(Math.abs(found.winRate - win_rate)).toBeLessThan(1e-10);
    expect(Math.abs(found.standardError - standard_error)).toBeLessThan(1e-10);
    expect(Math.abs(found.discreteWinRate - discrete_win_rate)).toBeLessThan(1e-10);
  });

  test("the length-controlled win rate is alpaca-eval's", () => {
    const found = lengthControlled(rows, gamed);
    expect(found.cost).toBeCloseTo(official.C, 12);
    for (const [k, score] of official.cv_mean_scores.entries())
      expect(Math.abs(found.foldScores[k]! / 5 - score)).toBeLessThan(1e-13);
    for (const [k, weight] of official.coef_len_diff_bias.entries())
      expect(Math.abs(found.weights[k]! - weight)).toBeLessThan(1e-10);
    for (const [k, share] of official.glm_preference_first10.entries())
      expect(Math.abs(found.preferences[k]! - share)).toBeLessThan(1e-11);
    expect(Math.abs(found.winRate - official.length_controlled_winrate)).toBeLessThan(1e-10);
    expect(Math.abs(found.standardError - official.lc_standard_error)).toBeLessThan(1e-10);
  });
});

// Written by bench/fixtures/alpaca_eval_folds.py with alpaca-eval on a processor with AVX-512; the published rate was made without.
test("the order of folds decides between two rates, and both are alpaca-eval's", () => {
  const model = fixture("alpaca-7b") as Annotations & Record<"published" | "avx512", Official>;
  for (const [order, official] of [
    ["scalar", model.published],
    ["avx512", model.avx512],
  ] as const) {
    const found = lengthControlled(rowsOf(model), gamed, order);
    expect(Math.abs(found.winRate - official.length_controlled_winrate), order).toBeLessThan(1e-9);
  }
  expect(Math.abs(model.published.length_controlled_winrate - model.avx512.length_controlled_winrate)).toBeGreaterThan(
    0.1,
  );
});

test("published weights give the published rates", () => {
  type Published = {
    weights: [number, number, number];
    length_controlled_winrate: number;
    lc_standard_error: number | null;
  };
  const published = Object.entries(fixture("weights_to_lc") as Record<string, Published>);
  expect(published).toHaveLength(44);
  for (const [model, { weights, length_controlled_winrate, lc_standard_error }] of published) {
    const found = atEqualLength(weights, instruction_difficulty);
    expect(Math.abs(found.winRate - length_controlled_winrate), model).toBeLessThan(3e-10);
    if (lc_standard_error !== null)
      expect(Math.abs(found.standardError - lc_standard_error), model).toBeLessThan(3e-10);
  }
});

test("a comparison without a verdict is no row of the fit, and its instruction is predicted all the same", () => {
  const rows = rowsOf(fixture("claude-2.1") as Annotations).map((row, i) =>
    i < 5 ? { ...row, preference: null } : row,
  );
  const found = lengthControlled(rows, gamed);
  expect(found.preferences).toHaveLength(rows.length);
  expect(
    Math.abs(found.winRate - expected.models["claude-2.1"]!.official_numpy_scalar_sort.length_controlled_winrate),
  ).toBeLessThan(0.5);
});

test("outputs that differ by the same length have no length-controlled rate", () => {
  const rows = [1, 1.2, 2].map((preference): Compared => ({ preference, baselineLength: 5, modelLength: 7 }));
  expect(() => lengthControlled(rows, gamed)).toThrow("differ by the same length");
});

test("the Mersenne Twister's ten-thousandth number is the one of the C++ standard", () => {
  const next = mersenneTwister(5489);
  const numbers = Array.from({ length: 10_000 }, next);
  expect(numbers.at(-1)).toBe(4_123_659_995);
});

test("bounded integers lie in their range, evenly", () => {
  const next = mersenneTwister(7);
  const counts = [0, 0, 0];
  for (let k = 0; k < 30_000; k += 1) counts[boundedInteger(next, 3)]! += 1;
  expect(counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)).toBeLessThan(13.8);
});

test("ties are left in an order that holds each place once, and folds are of even size", () => {
  const order = orderOfTies(2415);
  expect([...order].sort((a, b) => a - b)).toEqual([...order.keys()]);
  expect(orderOfTies(16)).toEqual([...Array(16).keys()]);
  const sizes = [0, 1, 2, 3, 4].map((fold) => foldsOf(2415, 5).filter((each) => each === fold).length);
  expect(sizes).toEqual([483, 483, 483, 483, 483]);
});

test("the penalised fit is at its optimum up to its tolerance: no weight's slope exceeds the penalty's", () => {
  const next = mersenneTwister(3);
  const uniform = () => next() / 2 ** 32;
  const examples = Array.from({ length: 300 }, () => {
    const features = [uniform() - 0.5, uniform() - 0.5, uniform() - 0.5];
    return { features, positive: uniform() < 1 / (1 + Math.exp(-4 * features[0]!)), weight: uniform() };
  });
  const weights = fitLasso(examples, 3, 1);
  for (const [j, weight] of weights.entries()) {
    const slope = examples.reduce((sum, { features, positive, weight: share }) => {
      const score = features.reduce((total, x, k) => total + x * weights[k]!, 0);
      return sum - (3 * share * (positive ? 1 : -1) * features[j]!) / (1 + Math.exp(positive ? score : -score));
    }, 0);
    if (weight === 0) expect(Math.abs(slope)).toBeLessThan(1.01);
    else expect(Math.abs(slope + Math.sign(weight))).toBeLessThan(0.01);
  }
  expect(weights[0]).toBeGreaterThan(1);
});
