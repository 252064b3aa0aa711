import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Candidate } from "./index.ts";
import { rewardStatistics } from "./reward-statistics.ts";

interface Case {
  readonly a: number[];
  readonly b: number[];
  readonly tau: number | null;
}
const cases = JSON.parse(readFileSync(new URL("fixtures/rank-correlation.json", import.meta.url), "utf8")) as Case[];

const candidate = (value: number, length: number, parts: Candidate["parts"] = []): Candidate => ({
  ...{ key: "k", promptId: "p", source: "s", index: 0, finish: "stop", promptTokens: 1, responseTokens: 1 },
  ...{ value, parts, text: "x".repeat(length) },
});

/** The statistics of prompts, each given as the rewards and the lengths of its responses. */
function statisticsOf(...prompts: { readonly a: readonly number[]; readonly b: readonly number[] }[]) {
  const statistics = rewardStatistics(() => undefined);
  for (const { a, b } of prompts) statistics.add({ sources: a.map((value, at) => candidate(value, b[at]!)) });
  return statistics.result();
}

describe("reward and length", () => {
  test.each(cases)("Kendall's tau-b of one prompt is SciPy's: $tau", ({ a, b, tau }) => {
    const { length } = statisticsOf({ a, b });
    if (tau === null) expect(length.tau).toBeNull();
    else expect(length.tau).toBeCloseTo(tau, 12);
  });

  test("over prompts only responses to the same one are compared", () => {
    // Longer is better within each; all of the second are better and shorter.
    const both = statisticsOf({ a: [1, 2, 3], b: [10, 20, 30] }, { a: [7, 8], b: [1, 2] });
    expect(both).toMatchObject({ prompts: 2, pairs: 4, length: { tau: 1 } });
    const mixed = statisticsOf({ a: [1, 2, 3], b: [10, 20, 30] }, { a: [8, 7], b: [1, 2] });
    // Without ties: 3 pairs in order, 1 reversed.
    expect(mixed.length.tau).toBeCloseTo(0.5, 12);
  });

  test("how often the longer one wins, by how much longer it is", () => {
    const { length } = statisticsOf(
      { a: [1, 0], b: [105, 100] },
      { a: [0, 1], b: [110, 100] },
      { a: [1, 0], b: [111, 100] },
      { a: [1, 1], b: [300, 200] },
      { a: [0, 1], b: [1000, 200] },
      { a: [1, 0], b: [100, 100] },
      { a: [1, 0], b: [10, 0] },
    );
    expect(length.longerWins.map(({ from, below, pairs, share }) => [from, below, pairs, share])).toEqual([
      [1, 1.1, 2, 0.5],
      [1.1, 1.25, 1, 1],
      [1.25, 1.5, 0, null],
      [1.5, 2, 1, 0.5],
      [2, 4, 0, null],
      [4, null, 2, 0.5],
    ]);
  });
});

describe("agreement of the reward's components", () => {
  const part = (name: string, value: number, weight = 0.5) => ({ name, value, weight });

  test("is that of their weighted sums; a component that has nothing to say is compared with nothing", () => {
    const statistics = rewardStatistics((name) => (name.startsWith("judge") ? "judge" : "checks"));
    const [first, , third] = cases.slice(3);
    for (const { a, b } of [first!, third!])
      statistics.add({
        sources: a.map((value, at) =>
          candidate(0, 1, [
            part("no_comma", value / 3, 1),
            part("words", (2 * value) / 3, 1),
            part("judge", b[at]!),
            part("judge:mass", -b[at]!, 0),
          ]),
        ),
      });
    statistics.add({ sources: [candidate(0, 1, [part("judge", 1)]), candidate(0, 1, [part("judge", 2)])] });
    const [agreement, ...others] = statistics.result().agreement;
    expect(others).toEqual([]);
    expect(agreement!.components).toEqual(["checks", "judge"]);
    const sign = (list: readonly number[], i: number, j: number) => Math.sign(list[i]! - list[j]!);
    let [balance, left, right, decided] = [0, 0, 0, 0];
    for (const { a, b } of [first!, third!])
      for (const i of a.keys())
        for (const j of a.keys()) {
          if (j >= i) continue;
          balance += sign(a, i, j) * sign(b, i, j);
          left += sign(a, i, j) ** 2;
          right += sign(b, i, j) ** 2;
          decided += Math.abs(sign(a, i, j) * sign(b, i, j));
        }
    expect(agreement!.tau).toBeCloseTo(balance / Math.sqrt(left * right), 12);
    expect(agreement!.decided).toBe(decided);
  });

  test("one component has nothing to agree with", () => {
    const statistics = rewardStatistics(() => "checks");
    statistics.add({ sources: [candidate(1, 1, [part("a", 1)]), candidate(0, 1, [part("a", 0)])] });
    expect(statistics.result().agreement).toEqual([]);
  });
});
