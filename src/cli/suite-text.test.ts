import { expect, test } from "vitest";
import { leaderboardOf } from "../evaluation/index.ts";
import { syntheticResults } from "../evaluation/testing/synthetic-results.ts";
import { suiteText } from "./suite-text.ts";

const options = { name: "paper", resampling: { resamples: 200, seed: 1 } };

test("one table in a hundred columns, every figure that is not official marked, every judge named", () => {
  const text = suiteText(leaderboardOf(syntheticResults(), options), "evaluations/paper");
  const lines = text.split("\n");
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  const fused = lines.find((line) => line.startsWith("fused "))!;
  const [head] = lines.filter((line) => line.startsWith("Model "));
  expect(head!.split(/\s{2,}/)).toEqual(["Model", "alpaca_eval", "length", "mt_bench", "length", "mmlu", "gsm8k"]);
  const cells = fused.split(/\s{2,}/);
  expect(cells).toHaveLength(7);
  expect([1, 3, 5, 6].map((at) => cells[at]!.includes("†"))).toEqual([true, false, false, true]);
  expect(text).toContain("alpaca_eval: LC win rate (%), judge: qwen2.5-coder-0.5b-instruct, not official †.");
  expect(text).toContain("mt_bench: Score (points), judge: gpt-4-0613, official.");
  expect(text).toMatch(/fused on gsm8k: 2 of its answers or verdicts could not be had/);
  expect(text).toMatch(/^Better +Than +On/m);
  expect(text).toContain("evaluations/paper/leaderboard.html");
});

test("many benchmarks and long names: tables below each other that lose no figure", () => {
  const one = syntheticResults(40)[2]!;
  const long = `a-model-whose-name-is-${"very-".repeat(8)}long`;
  const results = Array.from({ length: 12 }, (_, at) => ({
    ...one,
    benchmark: `benchmark-${at}`,
    models: one.models.map((model, place) => ({ ...model, model: place === 0 ? long : model.model })),
  }));
  const text = suiteText(leaderboardOf(results, options), "x");
  const lines = text.split("\n");
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  const heads = lines.filter((line) => line.startsWith("Model ")).flatMap((line) => line.split(/\s{2,}/).slice(1));
  expect(heads.filter((head) => head.startsWith("benchmark-"))).toEqual(results.map(({ benchmark }) => benchmark));
  expect(lines).toContain(long);
});

test("a terminal obeys no sequence of a note", () => {
  const [first, ...rest] = syntheticResults(40);
  const models = first!.models.map((model) => ({ ...model, notes: ["\u001b[31mred\u001b[0m"] }));
  const text = suiteText(leaderboardOf([{ ...first!, models }, ...rest], options), "x");
  expect(text).not.toContain("\u001b");
  expect(text).toContain("\\u{1b}[31mred");
});
