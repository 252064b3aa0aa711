import { describe, expect, test } from "vitest";
import { fitBradleyTerry } from "./bradley-terry.ts";
import { sourceStrengths } from "./source-strengths.ts";

const resampling = { resamples: 200, seed: 7 };
/** Rewards of three sources on a prompt: c's are the lowest but on every fifth, a's the highest on two of three. */
const promptOf = (at: number) => [
  { source: "a", value: at % 3 === 0 ? 1 : 2 },
  { source: "b", value: at % 7 === 0 ? 2 : 1.5 },
  { source: "c", value: at % 5 === 0 ? 3 : 0 },
  { source: "c", value: at % 5 === 0 ? 3 : 0.5 },
];

function strengthsOf(count: number, order: (ids: number[]) => number[] = (ids) => ids, names = ["a", "b", "c"]) {
  const counter = sourceStrengths(names);
  for (const at of order(Array.from({ length: count }, (_, id) => id))) counter.add(`p${at}`, promptOf(at));
  return counter.result(resampling);
}

describe("the strength of sources", () => {
  test("is that of the wins by mean rewards, on Elo's scale around 1000", () => {
    const { sources, prompts, bounded } = strengthsOf(210);
    expect([prompts, bounded]).toEqual([210, false]);
    const ids = Array.from({ length: 210 }, (_, at) => at);
    const mean = (at: number, name: string) => {
      const values = promptOf(at).flatMap(({ source, value }) => (source === name ? [value] : []));
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    const won = (i: string, j: string) =>
      ids.reduce((sum, at) => sum + (Math.sign(mean(at, i) - mean(at, j)) + 1) / 2, 0);
    const names = ["a", "b", "c"];
    const { strengths } = fitBradleyTerry(names.map((i) => names.map((j) => (i === j ? 0 : won(i, j)))));
    for (const { source, elo, interval, ...counts } of sources) {
      expect(elo).toBeCloseTo(1000 + (400 / Math.log(10)) * strengths[names.indexOf(source)]!, 8);
      expect(interval!.low).toBeLessThan(elo!);
      expect(interval!.high).toBeGreaterThan(elo!);
      expect(counts.wins + counts.ties + counts.losses).toBe(420);
    }
    expect(sources.reduce((sum, { elo }) => sum + elo!, 0) / 3).toBeCloseTo(1000, 8);
    expect(sources.map(({ source }) => source)).toEqual(["a", "b", "c"]);
    // Twice as likely is 120 points, ten times as likely 400.
    const pair = sourceStrengths(["x", "y"]);
    for (let at = 0; at < 11; at += 1)
      pair.add(`p${at}`, [
        { source: "x", value: at === 0 ? 0 : 2 },
        { source: "y", value: 1 },
      ]);
    const [x, y] = pair.result(resampling).sources;
    expect(x!.elo! - y!.elo!).toBeCloseTo(400, 8);
  });

  test("does not hang on the order of the prompts, and is the same again", () => {
    expect(strengthsOf(300, (ids) => ids.reverse())).toEqual(strengthsOf(300));
  });

  test("with fewer prompts is known less well", () => {
    const width = (count: number) => {
      const { interval } = strengthsOf(count).sources.find(({ source }) => source === "b")!;
      return interval!.high - interval!.low;
    };
    expect(width(210)).toBeGreaterThan(1.3 * width(1050));
  });

  test("the interval is as wide as theory says: two sources, half of the wins", () => {
    const counter = sourceStrengths(["x", "y"]);
    for (let at = 0; at < 400; at += 1)
      counter.add(`q${at}`, [
        { source: "x", value: at % 2 },
        { source: "y", value: 0.5 },
      ]);
    const [x] = counter.result({ resamples: 1000, seed: 3 }).sources;
    // The log-odds have the standard error 1 / sqrt(n / 4); each of the two moves by half of it.
    const half = (1.96 * (400 / Math.log(10)) * (1 / Math.sqrt(100))) / 2;
    expect((x!.interval!.high - x!.interval!.low) / 2 / half).toBeGreaterThan(0.9);
    expect((x!.interval!.high - x!.interval!.low) / 2 / half).toBeLessThan(1.1);
  });

  test("one that was compared with nobody has none, and comes last; without comparisons there are none", () => {
    const { sources } = strengthsOf(30, (ids) => ids, ["none", "a", "b", "c"]);
    expect(sources.at(-1)).toEqual({ source: "none", elo: null, interval: null, wins: 0, ties: 0, losses: 0 });
    const alone = sourceStrengths(["a"]);
    alone.add("p", [{ source: "a", value: 1 }]);
    expect(alone.result(resampling)).toEqual({
      sources: [{ source: "a", elo: null, interval: null, wins: 0, ties: 0, losses: 0 }],
      prompts: 0,
      bounded: false,
    });
  });

  test("one that never lost is bounded, and said to be", () => {
    const counter = sourceStrengths(["x", "y"]);
    for (let at = 0; at < 20; at += 1)
      counter.add(`p${at}`, [
        { source: "x", value: 1 },
        { source: "y", value: 0 },
      ]);
    const { sources, bounded } = counter.result(resampling);
    expect(bounded).toBe(true);
    expect(sources.map(({ source, ties }) => [source, ties])).toEqual([
      ["x", 0],
      ["y", 0],
    ]);
    expect(Number.isFinite(sources[0]!.elo!)).toBe(true);
  });
});
