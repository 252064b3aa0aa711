import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { numpyRandom } from "../random/numpy-random.ts";
import { quantile } from "../resampling.ts";
import { battlesOf, type Games, type Outcome } from "./battles.ts";
import { markdownCounts } from "./markdown.ts";
import {
  resampledStyleControl,
  type Style,
  type StyledBattle,
  type StyleFeatures,
  styleControlled,
  styleControlledV2,
} from "./style-control.ts";
import { type ArenaLabel, type ArenaVersion, readArenaVerdict } from "./verdict.ts";
import { arenaElo, arenaInterval, arenaWinRate, resampledWinRates, winRateOfElo } from "./win-rate.ts";

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/arena-hard/${name}.json`, import.meta.url), "utf8"));

interface Judged {
  readonly baseline: string;
  readonly judgments: Readonly<Record<string, readonly (readonly [number, ArenaLabel, ArenaLabel])[]>>;
  readonly style_metadata: Readonly<Record<string, readonly Style[]>>;
}
interface NoControl {
  readonly n_battles: number;
  readonly elo: number;
  readonly win_rate: number;
  readonly boot_win_rate_lo: number;
  readonly boot_win_rate_hi: number;
}
interface Controlled {
  readonly official: Readonly<Record<string, { win_rate: number }>>;
  readonly official_style_coef: readonly number[];
}
interface Expected {
  readonly no_control: Readonly<Record<string, NoControl>>;
  readonly style_control: Controlled;
  readonly length_control: Controlled;
  readonly markdown_control: Controlled;
}
interface Official {
  readonly interval: readonly [number, number];
  readonly style: Readonly<Record<string, { win_rate: number; interval_of_20: readonly [number, number] }>>;
  readonly draws: readonly number[];
  readonly markdown: readonly (readonly [string, unknown])[];
  readonly replies: readonly (readonly [string, string | null, boolean])[];
}
interface OfficialV2 {
  readonly win_rate: Readonly<Record<string, number>>;
  readonly battles: Readonly<Record<string, number>>;
  readonly style: Readonly<Record<string, number>>;
  readonly coefficients: readonly number[];
  readonly replies: readonly (readonly [string, string | null])[];
}

const judged = fixture("ko_labels") as Judged;
const expected = fixture("expected") as Expected;
const official = fixture("official-v0.1") as Official;
const officialV2 = fixture("official-v2.0") as OfficialV2;
const models = Object.keys(judged.judgments);

/** The battles of all models, one model after the other, as the official tool joins its files. */
const fought = (version: ArenaVersion, gamesOf = (games: Games, _at: number): Games => games): StyledBattle[] =>
  models.flatMap((name, model) =>
    judged.judgments[name]!.flatMap(([question, ...games], at) =>
      battlesOf(gamesOf(games, at), version).map((outcome) => ({
        model,
        outcome,
        baselineStyle: judged.style_metadata[judged.baseline]![question]!,
        modelStyle: judged.style_metadata[name]![question]!,
      })),
    ),
  );
const battles = fought("v0.1");
const of = (model: number, all: readonly StyledBattle[]): Outcome[] =>
  all.filter((battle) => battle.model === model).map(({ outcome }) => outcome);

describe("verdicts", () => {
  const cases = fixture("verdict_cases") as { judgment: string; label_v01: string | null; label_v2: string | null }[];
  test.each(cases.map((each, at) => [at, each] as const))("of reply %i", (_, { judgment, label_v01, label_v2 }) => {
    const labelOf = (version: ArenaVersion) => {
      const read = readArenaVerdict(judgment, version);
      return "label" in read ? read.label : null;
    };
    expect([labelOf("v0.1"), labelOf("v2.0")]).toEqual([label_v01, label_v2]);
  });

  const known = new Set(["A>>B", "A>B", "A=B", "B>A", "B>>A"]);
  test.each(official.replies)("v0.1: %s is %s, asked again: %s", (words, label, again) => {
    const read = readArenaVerdict(words, "v0.1");
    if (label === null) expect(read).toEqual({ fault: again ? "none" : "several" });
    // The official tool keeps such a text as a score, and counts it nowhere.
    else expect(read).toEqual(known.has(label) ? { label } : { fault: "unknown" });
  });
  test.each(officialV2.replies)("v2.0: %s is %s", (words, label) => {
    const meant = { "A<B": "B>A", "B=A": "A=B" }[label ?? ""] ?? label;
    const read = readArenaVerdict(words, "v2.0");
    if (meant === null) expect(read).toEqual({ fault: "none" });
    else expect(read).toEqual(known.has(meant) ? { label: meant } : { fault: "unknown" });
  });
});

test("a game won by far counts three times, one without verdict nowhere; v2.0 drops the question", () => {
  expect(battlesOf(["A>>B", "A>>B"], "v0.1")).toEqual([0, 0, 0, 1, 1, 1]);
  expect(battlesOf(["A=B", "B>A"], "v0.1")).toEqual([0.5, 0]);
  expect(battlesOf([null, "A>B"], "v0.1")).toEqual([1]);
  expect(battlesOf([null, "A>B"], "v2.0")).toEqual([]);
});

test("numpy's legacy draws", () => {
  const draw = numpyRandom(42);
  expect(official.draws.map(() => draw(1000))).toEqual(official.draws);
});

test("v0.1 as published: gpt-3.5-turbo-0125, with the official interval", () => {
  const { rle, expected } = fixture("v01_gpt-3.5-turbo-0125") as {
    rle: readonly (readonly [number, "a" | "b" | "t", number])[];
    expected: { official_code_win_rate: number; published_leaderboard_20240731: number };
  };
  const outcomes = rle.flatMap(([, winner, count]) =>
    Array<Outcome>(count).fill(({ a: 0, b: 1, t: 0.5 } as const)[winner]),
  );
  const rate = 100 * arenaWinRate(outcomes)!;
  expect(rate).toBeCloseTo(expected.official_code_win_rate, 5);
  expect(rate.toFixed(2)).toBe(String(expected.published_leaderboard_20240731));
  const [rates] = resampledWinRates(
    outcomes.map((outcome) => ({ model: 0, outcome })),
    1,
    100,
  );
  const [low, high] = arenaInterval(rates!)!;
  expect(100 * low).toBeCloseTo(official.interval[0], 4);
  expect(100 * high).toBeCloseTo(official.interval[1], 4);
});

test.each(models.map((name, model) => [name, model] as const))("%s: battles, Elo, win rate", (name, model) => {
  const { n_battles, elo, win_rate } = expected.no_control[name]!;
  const outcomes = of(model, battles);
  expect(outcomes).toHaveLength(n_battles);
  expect(arenaElo(arenaWinRate(outcomes)!)).toBeCloseTo(elo, 3);
  expect(100 * arenaWinRate(outcomes)!).toBeCloseTo(win_rate, 2);
});

test("the bootstrap draws of several models", () => {
  const rates = resampledWinRates(battles, models.length, 100);
  // The official code finds no baseline but gpt-4-0314: with another one it gives strengths about their mean, the baseline's included.
  const centred = models.map(() => new Float64Array(100));
  for (let round = 0; round < 100; round += 1) {
    const elos = rates.map((rate) => arenaElo(rate[round]!));
    const shift = (1000 + elos.reduce((sum, elo) => sum + elo, 0)) / (1 + models.length) - 1000;
    for (const [model, list] of centred.entries()) list[round] = elos[model]! - shift;
  }
  for (const [model, name] of models.entries()) {
    const sorted = centred[model]!.sort();
    const { boot_win_rate_lo, boot_win_rate_hi } = expected.no_control[name]!;
    expect(100 * winRateOfElo(quantile(sorted, 0.025))).toBeCloseTo(boot_win_rate_lo, 4);
    expect(100 * winRateOfElo(quantile(sorted, 0.975))).toBeCloseTo(boot_win_rate_hi, 4);
  }
});

describe("style control", () => {
  test.each(["style", "length", "markdown"] as const)(
    "by %s, where the official minimiser ends",
    (features: StyleFeatures) => {
      const { official, official_style_coef } = expected[`${features}_control`];
      const { winRates, coefficients } = styleControlled(battles, models.length, features)!;
      for (const [model, name] of models.entries())
        expect(100 * winRates[model]!).toBeCloseTo(official[name]!.win_rate, 6);
      for (const [k, coefficient] of coefficients.entries())
        expect(coefficient).toBeCloseTo(official_style_coef[k]!, 7);
    },
  );

  test("its interval, by the official draws", () => {
    const rates = resampledStyleControl(battles, models.length, 20)!;
    for (const [model, name] of models.entries()) {
      const [low, high] = arenaInterval(rates[model]!)!;
      expect(100 * low).toBeCloseTo(official.style[name]!.interval_of_20[0], 4);
      expect(100 * high).toBeCloseTo(official.style[name]!.interval_of_20[1], 4);
    }
  });

  test("v2.0: means of the scores, and the converged fit", () => {
    // As in the official run, the second game of each model's first question has no verdict.
    const all = fought("v2.0", (games, at) => (at === 0 ? [games[0], null] : games));
    const { winRates, coefficients } = styleControlledV2(all, models.length)!;
    for (const [model, name] of models.entries()) {
      expect(of(model, all)).toHaveLength(officialV2.battles[name]!);
      expect(arenaWinRate(of(model, all))).toBeCloseTo(officialV2.win_rate[name]!, 12);
      expect(100 * winRates[model]!).toBeCloseTo(officialV2.style[name]!, 3);
    }
    for (const [k, coefficient] of coefficients.entries())
      expect(coefficient).toBeCloseTo(officialV2.coefficients[k]!, 4);
  });

  test("a feature that all answers have alike is left out", () => {
    const [first, second] = [0, 1].map((headers) =>
      styleControlled(
        battles.map(({ baselineStyle, modelStyle, ...rest }) => {
          const flat = ([tokens, , lists, bold]: Style): Style => [tokens, headers, lists, bold];
          return { ...rest, baselineStyle: flat(baselineStyle), modelStyle: flat(modelStyle) };
        }),
        models.length,
      ),
    );
    expect(first!.coefficients[1]).toBe(0);
    expect(first).toEqual(second);
    // Near what the official code says with all four.
    for (const [model, name] of models.entries())
      expect(Math.abs(100 * first!.winRates[model]! - expected.style_control.official[name]!.win_rate)).toBeLessThan(
        1.5,
      );
  });

  test("there is none where all answers are alike", () => {
    const alike = battles.slice(0, 9).map((battle) => ({ ...battle, modelStyle: battle.baselineStyle }));
    expect(styleControlled(alike, 1)).toBeUndefined();
    expect(styleControlledV2(alike, 1)).toBeUndefined();
  });
});

test.each(official.markdown.map(([text, counts], at) => [at, text, counts] as const))(
  "markdown of text %i",
  (_, text, counts) => {
    expect(markdownCounts(text)).toEqual(counts);
  },
);
