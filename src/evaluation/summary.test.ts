import { describe, expect, test } from "vitest";
import { DataError } from "../schema/index.ts";
import { evaluationSummarySchema, type ModelResponses, summarise } from "./summary.ts";

const resampling = { resamples: 2000, seed: 7 };

const model = (label: string, values: Readonly<Record<string, readonly number[]>>): ModelResponses => {
  const rewards = Object.entries(values).flatMap(([promptId, list]) => list.map((value) => ({ promptId, value })));
  return {
    label,
    rewards,
    responseTokens: rewards.map((_, index) => 10 + index),
    unfinished: Math.min(1, rewards.length),
  };
};

const flat = (value: number) => Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`p${i}`, [value + i / 100]]));

describe("summarise", () => {
  const untuned = model("untuned", flat(0.2));
  const better = model("wrpo", flat(0.5));
  const same = model("sft", flat(0.2));

  test("the baseline comes first; every other model stands against it", () => {
    const { models, baseline } = summarise([better, same, untuned], "untuned", resampling);
    expect(baseline).toBe("untuned");
    expect(models.map(({ label }) => label)).toEqual(["untuned", "wrpo", "sft"]);
    const [base, first, second] = models;
    expect(base).toMatchObject({ comparison: null, verdict: null });
    // Every prompt differs by 0.3: so does every resample, and the only sign patterns as far out are the two extremes.
    expect(first!.comparison!.difference).toBeCloseTo(0.3, 12);
    expect(first!.comparison!.interval.low).toBeCloseTo(0.3, 12);
    expect(first!.comparison!.interval.high).toBeCloseTo(0.3, 12);
    expect(first!.comparison).toMatchObject({ prompts: 20, wins: 20, ties: 0, losses: 0, winRate: 1 });
    expect(first!.verdict!.better).toBe("a");
    expect(first!.verdict!.sentence).toContain("wrpo is better than untuned");
    expect(second!.comparison).toMatchObject({ difference: 0, ties: 20, winRate: 0.5, pValue: 1 });
    expect(second!.verdict!.better).toBe("none");
    expect(second!.verdict!.sentence).toContain("No significant difference");
  });

  test("a prompt counts once, however many responses it has; lengths are means over responses", () => {
    const uneven = model("untuned", { a: [0, 0, 0, 0], b: [1] });
    const [summary] = summarise([uneven], "untuned", resampling).models;
    expect(summary).toMatchObject({ responses: 5, scored: 5, unfinished: 1, meanResponseTokens: 12 });
    expect(summary!.reward).toMatchObject({ prompts: 2, mean: 0.5 });
  });

  test("it survives JSON and its own schema unchanged", () => {
    const summary = summarise([untuned, better, same], "untuned", resampling);
    expect(evaluationSummarySchema.parse(JSON.parse(JSON.stringify(summary)))).toEqual(summary);
  });

  test("a response without a score counts for the length alone", () => {
    const short = { ...untuned, responseTokens: [...untuned.responseTokens, 1000] };
    expect(summarise([short], "untuned", resampling).models[0]).toMatchObject({ responses: 21, scored: 20 });
  });

  test("what can't be compared is refused", () => {
    expect(() => summarise([untuned, model("wrpo", {})], "untuned", resampling)).toThrow(DataError);
    expect(() => summarise([untuned, model("wrpo", { other: [1] })], "untuned", resampling)).toThrow(DataError);
    expect(() => summarise([untuned], "nobody", resampling)).toThrow(/nobody is none of untuned/);
    expect(() => summarise([untuned, untuned], "untuned", resampling)).toThrow(/two models/);
    expect(() => summarise([model("untuned", { a: [Number.NaN] })], "untuned", resampling)).toThrow(/on a is NaN/);
    expect(() => summarise([{ ...untuned, unfinished: 99 }], "untuned", resampling)).toThrow(/99 unfinished/);
  });
});
