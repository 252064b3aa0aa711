import { expect, test } from "vitest";
import type { Candidate } from "./candidates.ts";
import { sourceScales, withStandardScores } from "./source-scales.ts";

const candidate = (source: string, value: number, index: number): Candidate => ({
  key: `${source}${index}`,
  promptId: "p",
  source,
  index,
  text: "x",
  finish: "stop",
  promptTokens: 1,
  responseTokens: 1,
  value,
});

const values = Array.from({ length: 200 }, (_, at) => Math.sin(at * 12.9898) * 43.758);
const all = values.map((value, at) => candidate(at % 3 === 0 ? "a" : "b", at % 3 === 0 ? value : 7 + value / 10, at));

test("standard scores of each source have mean 0 and deviation 1", async () => {
  const scales = { sources: await sourceScales(all), target: [] };
  const { sources } = withStandardScores({ promptId: "p", sources: all, target: [] }, scales);
  for (const source of ["a", "b"]) {
    const own = sources.filter((one) => one.source === source).map(({ value }) => value);
    const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
    expect(mean).toBeCloseTo(0, 12);
    expect(own.reduce((sum, value) => sum + value ** 2, 0) / own.length).toBeCloseTo(1, 12);
  }
});

test("the order of the responses changes no bit, nor does a source's level or unit", async () => {
  const once = await sourceScales(all);
  const shuffled = [...all].sort((one, other) => ((one.index * 37) % 200) - ((other.index * 37) % 200));
  expect(await sourceScales(shuffled)).toEqual(once);
  const moved = all.map((one) => ({ ...one, value: one.source === "a" ? 4 * one.value + 8 : one.value }));
  const scores = async (given: Candidate[]) =>
    withStandardScores(
      { promptId: "p", sources: given, target: [] },
      { sources: await sourceScales(given), target: [] },
    );
  const [before, after] = [(await scores(all)).sources, (await scores(moved)).sources];
  for (const [at, { value }] of before.entries()) expect(after[at]!.value).toBeCloseTo(value, 10);
});

test("equal rewards are 0 each", async () => {
  const same = [0.1, 0.1, 0.1].map((value, at) => candidate("a", value, at));
  expect(await sourceScales(same)).toEqual([{ source: "a", mean: expect.closeTo(0.1, 12), deviation: 0 }]);
  const scored = withStandardScores(
    { promptId: "p", sources: [], target: same },
    { sources: [], target: await sourceScales(same) },
  );
  expect(scored.target.map(({ value }) => value)).toEqual([0, 0, 0]);
});
