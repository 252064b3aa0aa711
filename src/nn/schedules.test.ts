import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type DecayShape, schedule, stepsOf } from "./index.ts";

const { schedules } = JSON.parse(readFileSync(join(import.meta.dirname, "fixtures/optimisation.json"), "utf8")) as {
  readonly schedules: {
    total: number;
    ratio: number;
    warmup: number;
    constant: number[];
    linear: number[];
    cosine: number[];
    wsd: { steps: number; shape: DecayShape; factors: number[] }[];
  }[];
};

describe.each(schedules)("$total steps, warm-up $ratio", ({ total, ratio, warmup, ...factors }) => {
  test("the warm-up is rounded up as in transformers", () => {
    expect(stepsOf(ratio, total)).toBe(warmup);
  });

  test.each(["constant", "linear", "cosine"] as const)("%s is transformers' at every step", (name) => {
    const factorAt = schedule(name, { warmupSteps: warmup, totalSteps: total });
    expect(factors[name]).toHaveLength(total);
    for (const [step, factor] of factors[name].entries()) expect(factorAt(step)).toBeCloseTo(factor, 12);
  });
});

test.each(schedules)("wsd is transformers' at every step: $total steps, warm-up $ratio", ({ total, warmup, wsd }) => {
  expect(new Set(wsd.map(({ shape }) => shape)).size).toBe(3);
  for (const { steps, shape, factors } of wsd) {
    const factorAt = schedule("wsd", { warmupSteps: warmup, totalSteps: total }, { decaySteps: steps, shape });
    for (const [step, factor] of factors.entries()) expect(factorAt(step)).toBeCloseTo(factor, 12);
  }
});

test("a decay longer than what the warm-up leaves begins right after it", () => {
  const factorAt = schedule("wsd", { warmupSteps: 4, totalSteps: 10 }, { decaySteps: 9, shape: "linear" });
  expect([3, 4, 7, 10].map(factorAt)).toEqual([0.75, 1, 0.5, 0]);
});

test("past the last step the factor stays where it ended", () => {
  const length = { warmupSteps: 2, totalSteps: 10 };
  expect(["constant", "linear", "cosine"].map((name) => schedule(name as "linear", length)(15))).toEqual([1, 0, 0]);
  expect(schedule("wsd", length, { decaySteps: 2, shape: "cosine" })(15)).toBe(0);
});
