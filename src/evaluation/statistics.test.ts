import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DataError, philox } from "../schema/index.ts";
import { type Comparison, compare, meanReward, meanRewards, verdict } from "./index.ts";
import { bootstrapMean, keptDraws, signFlipTest } from "./resampling.ts";

interface Fixture {
  readonly resamples: number;
  readonly cases: ReadonlyArray<{
    readonly name: string;
    readonly values: readonly number[];
    readonly low: number;
    readonly high: number;
    readonly standardError: number;
    readonly pValue: number;
  }>;
}

/** Made by scipy: bench/fixtures/statistics.py. */
const scipy = JSON.parse(readFileSync(join(import.meta.dirname, "fixtures/statistics.json"), "utf8")) as Fixture;

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard normal numbers by Box and Muller from Philox words: an input, not what is tested. */
function normal(count: number, seed: number): number[] {
  const words = new Uint32Array(4);
  return Array.from({ length: count }, (_, i) => {
    philox([i, 0, 99, 0], [seed, 0], words);
    const radius = Math.sqrt(-2 * Math.log((words[0]! + 1) / 2 ** 32));
    return radius * Math.cos((2 * Math.PI * words[1]!) / 2 ** 32);
  });
}

/** Upper tail of the standard normal distribution (Abramowitz & Stegun 26.2.17, error below 7.5e-8). */
function upperTail(z: number): number {
  const t = 1 / (1 + 0.2316419 * z);
  const series = [0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429];
  const polynomial = series.reduceRight((sum, coefficient) => (sum + coefficient) * t, 0);
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * polynomial;
}

describe("bootstrap interval", () => {
  test("the ends are scipy's, up to the noise of two finite drawings", () => {
    const resamples = 40_000;
    for (const { name, values, low, high, standardError } of scipy.cases) {
      const found = bootstrapMean(values, { resamples, seed: 5 });
      // Standard error of a 2.5 % quantile: sqrt(q (1 - q) / R) / density, in standard deviations of the mean.
      const noise = Math.sqrt(0.025 * 0.975 * (1 / resamples + 1 / scipy.resamples)) / 0.0584;
      // Means of few or rounded values lie on a grid: the quantile may stand on the next point.
      const distances = [...new Set(values)].flatMap((x) => values.map((y) => Math.abs(x - y))).filter((d) => d > 1e-9);
      const grid = Math.min(...distances) / values.length;
      const tolerance = 5 * noise * standardError + grid;
      expect(Math.abs(found.low - low), `${name}: ${found.low} and ${low}`).toBeLessThanOrEqual(tolerance);
      expect(Math.abs(found.high - high), `${name}: ${found.high} and ${high}`).toBeLessThanOrEqual(tolerance);
    }
  });

  test("few values: the exact quantiles, by all resamples that there are", () => {
    const values = [0.5, -0.25, 1, 0.8, 0.1];
    const all: number[] = [];
    for (let code = 0; code < 5 ** 5; code += 1) {
      const drawn = [0, 1, 2, 3, 4].map((position) => values[Math.floor(code / 5 ** position) % 5]!);
      all.push(mean(drawn));
    }
    all.sort((a, b) => a - b);
    const found = bootstrapMean(values, { resamples: 200_000, seed: 1 });
    // Within the means that enclose the quantile by a tenth of a percent: 3.5 standard errors of 200,000 draws.
    const between = (share: number) => [
      all[Math.floor((share - 0.0013) * all.length)]!,
      all[Math.ceil((share + 0.0013) * all.length)]!,
    ];
    const [lowFrom, lowTo] = between(0.025);
    const [highFrom, highTo] = between(0.975);
    expect(found.low).toBeGreaterThanOrEqual(lowFrom! - 1e-12);
    expect(found.low).toBeLessThanOrEqual(lowTo! + 1e-12);
    expect(found.high).toBeGreaterThanOrEqual(highFrom! - 1e-12);
    expect(found.high).toBeLessThanOrEqual(highTo! + 1e-12);
  });

  test.each([
    [0, 0.5, 1, 1, 0.5, 1],
    [-1, 0, 0, 1, -1, -1],
    [100, 0, 0, 100, 100],
    [3, 5, 5, 3, 5, 5],
    [0.25, 0.5, 0.75, 0.75],
  ])(
    "two or three values at equal distances: exactly the quantiles of all resamples that there are (%#)",
    (...values) => {
      const size = values.length;
      const all = Array.from({ length: size ** size }, (_, code) =>
        mean(values.map((_, position) => values[Math.floor(code / size ** position) % size]!)),
      ).sort((a, b) => a - b);
      const found = bootstrapMean(values, { resamples: 1, seed: 1 });
      expect(found.low).toBeCloseTo(all[Math.ceil(0.025 * all.length) - 1]!, 12);
      expect(found.high).toBeCloseTo(all[all.length - Math.ceil(0.025 * all.length)]!, 12);
      const mirrored = bootstrapMean(values.map((value) => -value).reverse(), { resamples: 1, seed: 1 });
      expect([mirrored.low, mirrored.high]).toEqual([-found.high + 0, -found.low + 0]);
    },
  );

  test("fourteen thousand answers right or wrong: mean ± 1.96 standard errors, without a draw", () => {
    const values = Array.from({ length: 14_042 }, (_, at) => (at % 5 < 3 ? 100 : 0));
    const { low, high } = bootstrapMean(values, { resamples: 1, seed: 1 });
    const standardError = 100 * Math.sqrt((0.6 * 0.4) / values.length);
    expect((mean(values) - low) / standardError).toBeCloseTo(1.96, 1);
    expect((high - mean(values)) / standardError).toBeCloseTo(1.96, 1);
  });

  test("many values: mean ± 1.96 standard errors", () => {
    const values = normal(2000, 3).map((value) => 0.3 + 2 * value);
    const centre = mean(values);
    const standardError = Math.sqrt(mean(values.map((value) => (value - centre) ** 2)) / values.length);
    const { low, high } = bootstrapMean(values, { resamples: 10_000, seed: 8 });
    expect(Math.abs((low - centre) / standardError + 1.96)).toBeLessThan(0.12);
    expect(Math.abs((high - centre) / standardError - 1.96)).toBeLessThan(0.12);
  });

  test("covers the truth about as often as it says", () => {
    const rounds = 300;
    let covered = 0;
    for (let round = 0; round < rounds; round += 1) {
      const values = normal(60, 1000 + round).map((value) => value + 0.5);
      const { low, high } = bootstrapMean(values, { resamples: 600, seed: round });
      if (low <= 0.5 && 0.5 <= high) covered += 1;
    }
    // 94 % is expected at 60 values; the binomial standard error is 1.4 %.
    expect(covered / rounds).toBeGreaterThan(0.9);
    expect(covered / rounds).toBeLessThan(0.985);
  });

  test("draws that are kept are the draws", () => {
    const how = { resamples: 300, seed: 9 };
    const shared = { ...how, draws: keptDraws(how) };
    for (const values of [normal(41, 1), normal(41, 2), normal(50, 3), normal(41, 4)])
      expect(bootstrapMean(values, shared)).toEqual(bootstrapMean(values, how));
    const many = { resamples: 2 ** 20, seed: 9 };
    expect(keptDraws(many)(17)).toBeUndefined();
  });

  test("the seed decides; equal values have no width; none is refused", () => {
    const values = normal(30, 4);
    const once = bootstrapMean(values, { resamples: 500, seed: 1 });
    expect(bootstrapMean(values, { resamples: 500, seed: 1 })).toEqual(once);
    expect(bootstrapMean(values, { resamples: 500, seed: 2 })).not.toEqual(once);
    expect(bootstrapMean([0.25, 0.25], { resamples: 100, seed: 1 })).toEqual({ low: 0.25, high: 0.25, level: 0.95 });
    expect(() => bootstrapMean([], { resamples: 100, seed: 1 })).toThrow(/no values/);
  });

  test("a bound that is 0 on paper is 0, not some last bits of a sum", () => {
    // Sums of three of these are multiples of 0.1, and those that come to 0 are common.
    for (const values of [
      [0.1, 0.2, -0.3],
      [0.7, -0.1, -0.6],
    ]) {
      // Of 101 sorted means the bounds of this level are the 41st and the 61st themselves.
      const bounds = Array.from({ length: 40 }, (_, seed) => bootstrapMean(values, { resamples: 101, seed }, 0.2));
      const all = bounds.flatMap(({ low, high }) => [low, high]);
      expect(all).toContain(0);
      for (const bound of all) expect(bound === 0 || Math.abs(bound) > 0.03, `${bound}`).toBe(true);
    }
  });
});

describe("sign-flip test", () => {
  test("p-values are scipy's: exactly where all patterns can be tried, else up to noise", () => {
    const resamples = 40_000;
    for (const { name, values, pValue } of scipy.cases) {
      const found = signFlipTest(values, { resamples, seed: 3 });
      // scipy doubles the smaller tail, this test counts both.
      const noise = 2 * Math.sqrt(pValue * (1 - pValue) * (1 / resamples + 1 / scipy.resamples)) + 2 / resamples;
      if (values.length <= 12) expect(found, name).toBeCloseTo(pValue, 12);
      else expect(Math.abs(found - pValue), `${name}: ${found} and ${pValue}`).toBeLessThan(4 * noise);
    }
  });

  test("tiny cases by hand", () => {
    const how = { resamples: 1000, seed: 1 };
    expect(signFlipTest([1], how)).toBe(1);
    expect(signFlipTest([1, 1, 1], how)).toBe(2 / 8);
    expect(signFlipTest([3, -1, 0, 0], how)).toBe(1);
    expect(signFlipTest([3, 1, 0], how)).toBe(2 / 4);
    expect(signFlipTest([0, 0], how)).toBe(1);
    expect(signFlipTest([], how)).toBe(1);
    expect(signFlipTest([0.1, 0.2, -0.3], how)).toBe(1);
    expect(signFlipTest(Array<number>(40).fill(1), how)).toBeCloseTo(2 ** -39, 24);
    expect(signFlipTest([...Array<number>(20).fill(1), ...Array<number>(20).fill(2)], how)).toBe(1 / 1001);
  });

  test("many of one size: the binomial distribution's tails, to the last bits of a share", () => {
    // By whole numbers: the sum of binomial coefficients up to the fewer.
    const exact = (fewer: number, count: number) => {
      let [term, sum] = [1n, 1n];
      for (let k = 1; k <= fewer; k += 1) {
        term = (term * BigInt(count - k + 1)) / BigInt(k);
        sum += term;
      }
      return Number((2n * sum * 10n ** 30n) / 2n ** BigInt(count)) / 1e30;
    };
    for (const [positive, count] of [
      [20, 50],
      [440, 1000],
      [1000, 2101],
    ] as const) {
      const differences = Array.from({ length: count }, (_, at) => (at < positive ? 12.5 : -12.5));
      expect(signFlipTest(differences, { resamples: 1, seed: 1 }) / exact(positive, count)).toBeCloseTo(1, 9);
    }
    expect(signFlipTest([...Array<number>(30).fill(1), ...Array<number>(30).fill(-1)], { resamples: 1, seed: 1 })).toBe(
      1,
    );
  });

  test("many differences: the normal approximation", () => {
    const values = normal(1000, 9).map((value) => value + 0.05);
    const z =
      Math.abs(values.reduce((sum, value) => sum + value, 0)) /
      Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));
    const expected = 2 * upperTail(z);
    const found = signFlipTest(values, { resamples: 20_000, seed: 6 });
    expect(Math.abs(found - expected)).toBeLessThan(4 * Math.sqrt((expected * (1 - expected)) / 20_000) + 1e-3);
  });
});

describe("comparison", () => {
  test("of models that are equal on the mean, a difference of exactly 0", () => {
    const [a, b] = [
      [0.1, 0.2, 0],
      [0, 0, 0.3],
    ].map((values) => new Map(values.map((value, i) => [`p${i}`, value])));
    expect(compare(a!, b!, { resamples: 100, seed: 1 }).difference).toBe(0);
  });

  const how = { resamples: 2000, seed: 42 };
  const means = (values: readonly number[]) => new Map(values.map((value, i) => [`p${i}`, value]));

  test("every prompt counts once, whatever its number of responses", () => {
    const rewards = [
      { promptId: "x", value: 1 },
      { promptId: "y", value: 0 },
      { promptId: "x", value: 0 },
      { promptId: "x", value: 0.5 },
    ];
    expect(meanRewards(rewards)).toEqual(
      new Map([
        ["x", 0.5],
        ["y", 0],
      ]),
    );
    expect(meanReward(meanRewards(rewards), how)).toMatchObject({ prompts: 2, mean: 0.25 });
    expect(() => meanReward(new Map(), how)).toThrow(DataError);
  });

  test("wins, ties counted half, losses; what can't be paired is counted", () => {
    const a = means([1, 0.5, 0.1 + 0.2, 0, 7]);
    const b = means([0, 0.5, 0.3, 1]);
    const result = compare(a, b, how);
    expect(result).toMatchObject({ prompts: 4, unpaired: 1, wins: 1, ties: 2, losses: 1, winRate: 0.5 });
    expect(result.difference).toBeCloseTo(0, 12);
    expect(result.meanA).toBeCloseTo(0.45, 12);
    expect(() => compare(a, new Map([["other", 1]]), how)).toThrow(DataError);
  });

  test("swapping the models mirrors everything; the order of the prompts changes nothing", () => {
    const [x, y] = [normal(50, 1), normal(50, 2)];
    const ab = compare(means(x), means(y), how);
    const ba = compare(means(y), means(x), how);
    expect(ba.difference).toBeCloseTo(-ab.difference, 12);
    expect(ba.interval.low).toBeCloseTo(-ab.interval.high, 12);
    expect(ba.winRateInterval.low).toBeCloseTo(1 - ab.winRateInterval.high, 12);
    expect(ba.pValue).toBe(ab.pValue);
    expect([ba.wins, ba.losses]).toEqual([ab.losses, ab.wins]);
    const reversed = (values: readonly number[]) => new Map([...means(values)].reverse());
    expect(compare(reversed(x), reversed(y), how)).toEqual(ab);
  });

  test("pairing pays: a small gain on every prompt shows through large differences between prompts", () => {
    const hard = normal(100, 5).map((value) => 10 * value);
    const gain = normal(100, 6).map((value, i) => hard[i]! + 0.1 + 0.2 * value);
    const result = compare(means(gain), means(hard), how);
    expect(verdict(result, "after", "before").better).toBe("a");
    expect(verdict(compare(means(hard), means(gain), how), "before", "after").better).toBe("b");
  });

  test("the verdict is honest", () => {
    const base: Comparison = {
      prompts: 100,
      unpaired: 0,
      meanA: 0.6,
      meanB: 0.5,
      difference: 0.1,
      interval: { low: 0.02, high: 0.18, level: 0.95 },
      pValue: 0.0123,
      wins: 60,
      ties: 5,
      losses: 35,
      winRate: 0.625,
      winRateInterval: { low: 0.5, high: 0.7, level: 0.95 },
    };
    expect(verdict(base, "wrpo", "untuned")).toEqual({
      better: "a",
      sentence:
        "wrpo is better than untuned (wrpo - untuned: +0.100, 95 % interval +0.0200 to +0.180, p = 0.012, 100 prompts).",
    });
    const touching = { ...base, interval: { ...base.interval, low: 0 } };
    expect(verdict(touching, "wrpo", "untuned").better).toBe("none");
    expect(verdict(touching, "wrpo", "untuned").sentence).toMatch(
      /^No significant difference between wrpo and untuned/,
    );
    const worse = { ...base, difference: -0.1, interval: { low: -0.18, high: -0.02, level: 0.95 } };
    expect(verdict(worse, "wrpo", "untuned")).toMatchObject({
      better: "b",
      sentence: expect.stringMatching(/^untuned is better than wrpo/),
    });

    // Three prompts that all gained: the interval excludes 0, yet one sign pattern in four is as far from it.
    const few = compare(means([1, 2, 3]), means([0, 0, 0]), how);
    expect(few.interval.low).toBeGreaterThan(0);
    expect(few.pValue).toBe(0.25);
    expect(verdict(few, "a", "b")).toMatchObject({
      better: "none",
      sentence: expect.stringMatching(/too few prompts/),
    });
    expect(verdict(compare(means([1, 1]), means([1, 1]), how), "a", "b").better).toBe("none");
  });

  test("two models that are the same are called different about as rarely as it says", () => {
    let called = 0;
    for (let round = 0; round < 200; round += 1) {
      const result = compare(means(normal(40, 5000 + round)), means(normal(40, 9000 + round)), {
        resamples: 400,
        seed: round,
      });
      if (verdict(result, "a", "b").better !== "none") called += 1;
    }
    // 5 % of 200 is 10, with a standard deviation of 3.1.
    expect(called).toBeLessThan(23);
  });
});
