import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { schedule, warmupStepsOf } from "./index.ts";

const { schedules } = JSON.parse(readFileSync(join(import.meta.dirname, "fixtures/optimisation.json"), "utf8")) as {
  readonly schedules: {
    total: number;
    ratio: number;
    warmup: number;
    constant: number[];
    linear: number[];
    cosine: number[];
  }[];
};

describe.each(schedules)("$total steps, warm-up $ratio", ({ total, ratio, warmup, ...factors }) => {
  test("the warm-up is rounded up as in transformers", () => {
    expect(warmupStepsOf(ratio, total)).toBe(warmup);
  });

  test.each(["constant", "linear", "cosine"] as const)("%s is transformers' at every step", (name) => {
    const factorAt = schedule(name, { warmupSteps: warmup, totalSteps: total });
    expect(factors[name]).toHaveLength(total);
    for (const [step, factor] of factors[name].entries()) expect(factorAt(step)).toBeCloseTo(factor, 12);
  });
});

test("past the last step the factor stays where it ended", () => {
  const length = { warmupSteps: 2, totalSteps: 10 };
  expect(["constant", "linear", "cosine"].map((name) => schedule(name as "linear", length)(15))).toEqual([1, 0, 0]);
});
