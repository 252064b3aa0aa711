import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DataError } from "../../schema/index.ts";
import { syntheticResults } from "../testing/synthetic-results.ts";
import { type BenchmarkResult, benchmarkResultSchema, leaderboardOf, leaderboardSchema, winCell } from "./index.ts";
import { benjaminiHochberg, holm } from "./multiple-testing.ts";
import { ranksOf } from "./overall.ts";
import type { Measured } from "./table.ts";
import { wilson } from "./wilson.ts";

interface Truth {
  readonly resamples: number;
  readonly cases: ReadonlyArray<{
    readonly name: string;
    readonly a: ReadonlyArray<readonly [string, number]>;
    readonly b: ReadonlyArray<readonly [string, number]>;
    readonly questions: number;
    readonly onlyA: number;
    readonly onlyB: number;
    readonly difference: number;
    readonly low: number;
    readonly high: number;
    readonly standardError: number;
    readonly pValue: number;
    readonly exactPValue: number | null;
    readonly wins: number;
    readonly losses: number;
  }>;
  readonly corrected: ReadonlyArray<Record<"p" | "holm" | "benjaminiHochberg", readonly number[]>>;
  readonly wilson: ReadonlyArray<{ readonly won: number; readonly of: number; readonly interval: readonly number[] }>;
  readonly ranks: ReadonlyArray<{ readonly values: readonly number[]; readonly ranks: readonly number[] }>;
}

/** Made by scipy and statsmodels: bench/fixtures/leaderboard_truth.py. */
const truth = JSON.parse(
  readFileSync(join(import.meta.dirname, "../fixtures/leaderboard/truth.json"), "utf8"),
) as Truth;

const resampling = { resamples: 2000, seed: 3 };
const options = { name: "paper", resampling };

const measured = (
  model: string,
  values: Iterable<readonly [string, number]>,
  more: Partial<Measured> = {},
): Measured => {
  const items = [...values].map(([id, value]) => ({ id, value }));
  const value = items.reduce((sum, item) => sum + item.value, 0) / Math.max(1, items.length);
  return {
    ...{ model, items, figures: { main: { value } }, categories: {}, failed: 0, notes: [] },
    ...more,
  };
};

const benchmark = (
  name: string,
  models: readonly Measured[],
  more: Partial<BenchmarkResult> = {},
): BenchmarkResult => ({
  ...{ benchmark: name, kind: "task", judge: null, official: true, models },
  columns: [{ key: "main", title: "acc", unit: "%" }],
  ...more,
});

const answers = (values: readonly number[]) => values.map((value, at) => [`q${at}`, value] as const);

describe("corrections", () => {
  test("are those of statsmodels, in any order", () => {
    for (const { p, holm: expected, benjaminiHochberg: expectedRate } of truth.corrected) {
      for (const [at, value] of holm(p).entries()) expect(value).toBeCloseTo(expected[at]!, 12);
      for (const [at, value] of benjaminiHochberg(p).entries()) expect(value).toBeCloseTo(expectedRate[at]!, 12);
      const turned = holm([...p].reverse()).reverse();
      for (const [at, value] of holm(p).entries()) expect(turned[at]).toBeCloseTo(value, 12);
    }
    expect(holm([])).toEqual([]);
    expect(benjaminiHochberg([])).toEqual([]);
  });

  test("Wilson's intervals are those of statsmodels; ranks are scipy's", () => {
    for (const { won, of, interval } of truth.wilson) {
      const { low, high } = wilson(won, of);
      expect(low).toBeCloseTo(interval[0]!, 12);
      expect(high).toBeCloseTo(interval[1]!, 12);
    }
    expect(() => wilson(0, 0)).toThrow(/no share/);
    for (const { values, ranks } of truth.ranks) expect(ranksOf(values)).toEqual(ranks);
  });
});

describe("comparisons", () => {
  const resamples = 20_000;
  const board = leaderboardOf(
    truth.cases.map(({ name, a, b }) => benchmark(name, [measured("A", a), measured("B", b)])),
    { name: "truth", resampling: { resamples, seed: 11 } },
  );

  test.each(truth.cases)("$name: scipy's difference, interval and p-value", (expected) => {
    const found = board.comparisons.find((pair) => pair.benchmark === expected.name)!;
    expect(found).toMatchObject({
      questions: expected.questions,
      onlyA: expected.onlyA,
      onlyB: expected.onlyB,
      outcome: {
        wins: expected.wins,
        losses: expected.losses,
        ties: expected.questions - expected.wins - expected.losses,
      },
    });
    const { difference, interval, pValue } = found.outcome!;
    expect(difference).toBeCloseTo(expected.difference, 9);
    // As in statistics.test.ts: five standard errors of two finite drawings' quantiles, and one step of the values' grid.
    const noise = Math.sqrt(0.025 * 0.975 * (1 / resamples + 1 / truth.resamples)) / 0.0584;
    const steps = [...new Map(expected.a).values(), ...new Map(expected.b).values()].filter((value) => value > 0);
    const tolerance = 5 * noise * expected.standardError + Math.min(...steps) / expected.questions;
    expect(Math.abs(interval.low - expected.low)).toBeLessThan(tolerance);
    expect(Math.abs(interval.high - expected.high)).toBeLessThan(tolerance);
    if (expected.exactPValue !== null) expect(pValue).toBeCloseTo(expected.exactPValue, 12);
    const spread = Math.sqrt(expected.pValue * (1 - expected.pValue) * (1 / resamples + 1 / truth.resamples));
    expect(Math.abs(pValue - expected.pValue)).toBeLessThan(5 * spread + 2e-4);
  });

  test("p-values are corrected over all benchmarks and pairs together", () => {
    const results = syntheticResults();
    const { comparisons } = leaderboardOf(results, options);
    expect(comparisons).toHaveLength(12);
    const outcomes = comparisons.map(({ outcome }) => outcome!);
    const p = outcomes.map(({ pValue }) => pValue);
    expect(outcomes.map((outcome) => outcome.holm)).toEqual(holm(p));
    expect(outcomes.map((outcome) => outcome.benjaminiHochberg)).toEqual(benjaminiHochberg(p));
    const alone = leaderboardOf(results.slice(0, 1), options).comparisons[0]!.outcome!;
    expect(alone.pValue).toBe(p[0]);
    expect(alone.holm).toBeLessThan(outcomes[0]!.holm);
  });

  test("the other order of models mirrors everything", () => {
    const { a, b, name } = truth.cases[2]!;
    const of = (models: readonly Measured[]) => leaderboardOf([benchmark(name, models)], options).comparisons[0]!;
    const [ab, ba] = [of([measured("A", a), measured("B", b)]), of([measured("B", b), measured("A", a)])];
    const [x, y] = [ab.outcome!, ba.outcome!];
    expect(y.difference).toBeCloseTo(-x.difference, 12);
    expect(y.interval.low).toBeCloseTo(-x.interval.high, 12);
    expect([y.wins, y.losses, y.pValue, y.holm]).toEqual([x.losses, x.wins, x.pValue, x.holm]);
    expect(y.winRateInterval.low).toBeCloseTo(1 - x.winRateInterval.high, 12);
    expect([ba.onlyA, ba.onlyB]).toEqual([ab.onlyB, ab.onlyA]);
    expect([x.better, y.better]).toEqual(["b", "a"]);
    const untilCounts = (sentence: string) => sentence.replace(/ Not compared.*/, "");
    expect(untilCounts(ab.sentence)).toBe(untilCounts(ba.sentence));
    expect(ab.sentence).toMatch(
      /^B is better than A on preferences, 160: B - A = \+7\.48 percentage points, 95 % interval \+/,
    );
  });

  test("equal models: a difference of 0, p = 1, and nobody is better", () => {
    const values = answers([100, 0, 0, 100, 100]);
    const { comparisons } = leaderboardOf([benchmark("x", [measured("A", values), measured("B", values)])], options);
    expect(comparisons[0]!.outcome).toMatchObject({
      ...{ difference: 0, pValue: 1, holm: 1, benjaminiHochberg: 1, better: "none", wins: 0, ties: 5, winRate: 0.5 },
      interval: { low: 0, high: 0 },
      longer: null,
    });
    expect(comparisons[0]!.sentence).toMatch(/^No significant difference between A and B on x/);
  });

  test("what one model lacks is counted, never made up; without common questions nothing is compared", () => {
    const a = answers([100, 100, 100]);
    const b = [["q1", 0] as const, ["other", 100] as const];
    const none = [["elsewhere", 0] as const];
    const models = [measured("A", a), measured("B", b), measured("C", none)];
    const board = leaderboardOf([benchmark("x", models)], options);
    const [ab, ac] = board.comparisons;
    expect(ab).toMatchObject({ questions: 1, onlyA: 2, onlyB: 1, outcome: { difference: 100, wins: 1, pValue: 1 } });
    expect(ab!.sentence).toMatch(/Not compared: 2 questions that only A has a verdict for, 1 question that only B has/);
    expect(ac).toMatchObject({ questions: 0, onlyA: 3, onlyB: 1, outcome: null });
    expect(ac!.sentence).toMatch(/^A and C have no question in common on x\./);
    expect(winCell(board.comparisons, "x", "A", "C")).toBeNull();
    expect(board.benchmarks[0]!.values.map(({ values }) => values)).toEqual([
      [100, 100, 100, null, null],
      [null, 0, null, 100, null],
      [null, null, null, null, 0],
    ]);
  });

  test("significant alone but not among many is said so", () => {
    // 9 of 10 are won: p = 0.021 by the sign test; beside nine tests that find nothing it does not pass.
    const won = answers([...Array<number>(9).fill(100), 0]);
    const lost = answers([...Array<number>(9).fill(0), 100]);
    const first = benchmark("first", [measured("A", won), measured("B", lost)]);
    const rest = Array.from({ length: 9 }, (_, at) => benchmark(`x${at}`, [measured("A", won), measured("B", won)]));
    const [alone] = leaderboardOf([first], options).comparisons;
    expect(alone!.outcome!.pValue).toBeCloseTo(22 / 1024, 12);
    expect(alone!.outcome!.better).toBe("a");
    const [among] = leaderboardOf([first, ...rest], options).comparisons;
    expect(among!.outcome).toMatchObject({ better: "none", holm: expect.closeTo(220 / 1024, 12) });
    expect(among!.sentence).toMatch(/Significant by itself, but not after the correction/);
  });

  test("how often the longer of two answers won", () => {
    const said = (model: string, of: readonly (readonly [number, string])[]): Measured => ({
      ...measured(model, []),
      items: of.map(([value, answer], at) => ({ id: `${at}`, value, answer })),
    });
    const a = said("A", [
      [1, "\u{1f600}\u{1f600}"],
      [1, "aaaa"],
      [0, "aaaa"],
      [1, "aaaa"],
      [1, "aaaa"],
    ]);
    // One more code unit is no longer answer; equal lengths and ties count nowhere.
    const b = said("B", [
      [0, "bbb"],
      [0, "bb"],
      [1, "bb"],
      [0, "bbbb"],
      [1, "b"],
    ]);
    const board = leaderboardOf([{ ...benchmark("x", [a, b]), judge: "somebody" }], options);
    expect(board.comparisons[0]!.outcome!.longer).toEqual({ won: 1, of: 3 });
    expect(board.benchmarks[0]!.lengths).toEqual([
      { model: "A", mean: null, answers: 5, median: 4, shortest: 2, longest: 4 },
      { model: "B", mean: null, answers: 5, median: 2, shortest: 1, longest: 4 },
    ]);
    // Of choices that nobody judges the lengths say nothing.
    expect(leaderboardOf([benchmark("x", [a, b])], options).benchmarks[0]!.lengths).toEqual([]);
  });
});

test("the cells of the win matrix mirror each other", () => {
  const { comparisons, models } = leaderboardOf(syntheticResults(), options);
  const cell = winCell(comparisons, "alpaca_eval", "fused", "target")!;
  const other = winCell(comparisons, "alpaca_eval", "target", "fused")!;
  expect(models).toEqual(["target", "sft", "fused"]);
  expect(cell.winRate).toBeGreaterThan(0.6);
  expect([cell.wins, cell.ties, cell.losses, cell.questions]).toEqual([other.losses, other.ties, other.wins, 120]);
  expect(cell.winRate + other.winRate).toBeCloseTo(1, 12);
  expect(cell.interval.low).toBeCloseTo(1 - other.interval.high, 12);
  expect(winCell(comparisons, "alpaca_eval", "fused", "fused")).toBeNull();
});

describe("overall", () => {
  const figured = (name: string, values: Record<string, number | null>, more: Partial<BenchmarkResult> = {}) =>
    benchmark(
      name,
      Object.entries(values).map(([model, value]) =>
        measured(model, [], { figures: { main: value === null ? null : { value, standardError: 3 } } }),
      ),
      more,
    );

  test("of benchmarks where all models have a figure; units never mix; ranks do", () => {
    const points = { columns: [{ key: "main", title: "score", unit: "points" as const }], official: false };
    const { overall } = leaderboardOf(
      [
        figured("one", { A: 10, B: 30 }),
        figured("two", { A: 20, B: 20 }),
        figured("three", { A: 99, B: null }),
        figured("four", { A: 99 }),
        figured("rated", { A: 7, B: 6 }, points),
      ],
      options,
    );
    expect(overall.means).toEqual([
      {
        unit: "%",
        benchmarks: ["one", "two"],
        official: true,
        models: [
          { model: "A", value: 15, standardError: Math.sqrt(18) / 2 },
          { model: "B", value: 25, standardError: Math.sqrt(18) / 2 },
        ],
      },
    ]);
    expect(overall.rank).toEqual({
      benchmarks: ["one", "two", "rated"],
      official: false,
      models: [
        { model: "A", value: (2 + 1.5 + 1) / 3 },
        { model: "B", value: (1 + 1.5 + 2) / 3 },
      ],
    });
    expect(overall.leftOut).toEqual([
      { benchmark: "three", models: ["B"] },
      { benchmark: "four", models: ["B"] },
    ]);
  });

  test("nothing where nothing is whole, or only one model is there", () => {
    expect(leaderboardOf([figured("one", { A: 1, B: null })], options).overall).toMatchObject({
      means: [],
      rank: null,
    });
    const alone = leaderboardOf([figured("one", { A: 1 }), figured("two", { A: 2 })], options).overall;
    expect(alone.rank).toBeNull();
    expect(alone.means[0]!.models).toEqual([{ model: "A", value: 1.5, standardError: Math.sqrt(18) / 2 }]);
  });
});

describe("gains and losses", () => {
  const results = syntheticResults();
  const focus = { model: "fused", baseline: "target" };

  test("the most changed questions with both answers and the judge's words", () => {
    const found = leaderboardOf(results, { ...options, focus, examples: 3 }).focus!;
    expect(found.benchmarks.map((each) => each.benchmark)).toEqual(["alpaca_eval", "mt_bench", "mmlu", "gsm8k"]);
    const [, rated] = found.benchmarks;
    const [fused, target] = ["fused", "target"].map((name) =>
      results[1]!.models.find(({ model }) => model === name)!.items.map((item) => item),
    );
    const differences = fused!.map(({ value }, at) => value - target![at]!.value).sort((a, b) => b - a);
    expect(rated!.gained.map(({ difference }) => difference)).toEqual(differences.slice(0, 3));
    expect(rated!.lost.map(({ difference }) => difference)).toEqual(differences.reverse().slice(0, 3));
    expect([rated!.better, rated!.same, rated!.worse]).toEqual([
      differences.filter((difference) => difference > 0).length,
      differences.filter((difference) => difference === 0).length,
      differences.filter((difference) => difference < 0).length,
    ]);
    const [first] = rated!.gained;
    const own = fused!.find(({ id }) => id === first!.id)!;
    expect(first).toMatchObject({
      category: own.category,
      question: own.question,
      model: { value: own.value, answer: own.answer, words: own.words },
    });
  });

  test("the order of the questions does not choose among equals", () => {
    const turned = results.map((result) => ({
      ...result,
      models: result.models.map((model) => ({ ...model, items: [...model.items].reverse() })),
    }));
    expect(leaderboardOf(turned, { ...options, focus }).focus).toEqual(
      leaderboardOf(results, { ...options, focus }).focus,
    );
  });

  test("a model that is not there is refused", () => {
    expect(() => leaderboardOf(results, { ...options, focus: { model: "fusd", baseline: "sft" } })).toThrow(DataError);
  });
});

test("categories in the order of the questions, each model's figure and questions", () => {
  const [, rated] = leaderboardOf(syntheticResults(), options).benchmarks;
  expect(rated!.categories.map(({ name }) => name).slice(0, 3)).toEqual(["writing", "roleplay", "reasoning"]);
  expect(rated!.categories).toHaveLength(8);
  const [writing] = rated!.categories;
  const own = rated!.values[2]!.values.filter((_, at) => rated!.questions[at]!.category === "writing");
  expect(writing!.models[2]!.questions).toBe(own.length);
  expect(writing!.models[2]!.figure!.value).toBeCloseTo(
    own.reduce<number>((sum, value) => sum + value!, 0) / own.length,
    12,
  );
});

test("it is said where the main figure is no mean of the questions", () => {
  const { benchmarks } = leaderboardOf(syntheticResults(), options);
  expect(benchmarks.map(({ figureIsMean }) => figureIsMean)).toEqual([false, true, true, true]);
});

test("what is computed and what it is computed of go through JSON", () => {
  const results = syntheticResults();
  const board = leaderboardOf(results, { ...options, focus: { model: "fused", baseline: "sft" } });
  expect(leaderboardSchema.parse(JSON.parse(JSON.stringify(board)))).toEqual(board);
  for (const result of results) {
    expect(benchmarkResultSchema.parse(JSON.parse(JSON.stringify(result)))).toEqual(result);
  }
});

test("results that contradict themselves are refused", () => {
  const model = measured("A", answers([1]));
  expect(() => leaderboardOf([benchmark("x", [model, model])], options)).toThrow(/two models of x are called A/);
  expect(() => leaderboardOf([benchmark("x", []), benchmark("x", [])], options)).toThrow(/two benchmarks/);
  const twice = measured("A", [["q", 1] as const, ["q", 2] as const]);
  expect(() => leaderboardOf([benchmark("x", [twice])], options)).toThrow(/two items of question q/);
  const infinite = measured("A", answers([Number.NaN]));
  expect(() => leaderboardOf([benchmark("x", [infinite])], options)).toThrow(/is NaN/);
});
