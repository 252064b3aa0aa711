import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { mtBenchTemperature, needsReference } from "./categories.ts";
import { noRating, readPairVerdict, readRating } from "./rating.ts";
import { groupedInterval, mtBenchScore, pairOutcome, pairRates, turnScore } from "./scores.ts";

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/mt-bench/${name}.json`, import.meta.url), "utf8"));

const cases = fixture("rating_cases") as { judgment: string; rating: number }[];
test.each(cases.map((each, at) => [at, each] as const))("the rating of reply %i", (_, { judgment, rating }) => {
  expect(readRating(judgment) ?? noRating).toBe(rating);
});

test.each([
  ["Rating: [[8.5]]", 8.5],
  ["[[7.]]", 7],
  ["first [3], then [[9]]", 9],
  ["[[7]] or [[8]]", 7],
  ["[[rating]]", null],
  ["[[8/10]]", null],
  ["[8/10], [6]", 6],
  ["[[-3]]", null],
  ["", null],
])("%s is rated %s", (words, rating) => expect(readRating(words)).toBe(rating));

interface Scores {
  readonly expected: Readonly<
    Record<string, { first_turn: number; second_turn: number; average: number; n_used: number; n_errors: number }>
  >;
  readonly rows: Readonly<Record<string, readonly (readonly [question: number, turn: number, rating: number])[]>>;
}
const { expected, rows } = fixture("scores") as Scores;

test.each(Object.keys(expected))("the scores of %s are FastChat's", (model) => {
  const ratings = new Map<number, (number | null)[]>();
  for (const [question, turn, rating] of rows[model]!) {
    const turns = ratings.get(question) ?? [null, null];
    ratings.set(question, turns);
    // A duplicate would be counted twice by FastChat.
    expect(turns[turn - 1]).toBeNull();
    turns[turn - 1] = rating === noRating ? null : rating;
  }
  const all = [...ratings.values()];
  const { first_turn, second_turn, average, n_used, n_errors } = expected[model]!;
  expect(turnScore(all, 0)).toBeCloseTo(first_turn, 12);
  expect(turnScore(all, 1)).toBeCloseTo(second_turn, 12);
  expect(mtBenchScore(all)).toBeCloseTo(average, 12);
  expect(all.flat().filter((rating) => rating !== null)).toHaveLength(n_used);
  expect(rows[model]!).toHaveLength(n_used + n_errors);
});

test("there is no score without a rating", () => {
  expect(mtBenchScore([[null, null]])).toBeNull();
  expect(turnScore([], 1)).toBeNull();
  expect(groupedInterval([[], []], { resamples: 10, seed: 1 })).toBeUndefined();
});

test("the interval draws whole questions", () => {
  // Both turns of a question alike: as wide as that of the questions' means, and not that of twice as many.
  const questions = Array.from({ length: 40 }, (_, i) => 1 + ((i * 7) % 10));
  const alike = groupedInterval(
    questions.map((x) => [x, x]),
    { resamples: 2000, seed: 3 },
  )!;
  const single = groupedInterval(
    questions.map((x) => [x]),
    { resamples: 2000, seed: 3 },
  )!;
  expect(alike).toEqual(single);
  const deviation = Math.sqrt(questions.reduce((sum, x) => sum + (x - 5.5) ** 2, 0) / 40 / 40);
  expect((alike.high - alike.low) / (2 * 1.96 * deviation)).toBeCloseTo(1, 1);
});

test("a pair is won where both games say so; a missing verdict is no tie", () => {
  expect(pairOutcome("A", "B")).toBe(1);
  expect(pairOutcome("B", "A")).toBe(0);
  expect(pairOutcome("A", "A")).toBe(0.5);
  expect(pairOutcome("A", "C")).toBe(0.5);
  expect(pairOutcome("C", "C")).toBe(0.5);
  expect(pairOutcome(null, "B")).toBeNull();
  expect(readPairVerdict("[[C]], no: [[B]]")).toBe("B");
  expect(readPairVerdict("B is better")).toBeNull();
  expect(pairRates([1, 1, 0.5, 0])).toEqual({ won: 0.5, lost: 0.25, adjusted: 0.625 });
  expect(pairRates([])).toBeNull();
});

test("temperatures and references by category", () => {
  expect(["writing", "roleplay", "stem", "humanities", "math", "poetry"].map(mtBenchTemperature)).toEqual([
    0.7, 0.7, 0.1, 0.1, 0, 0.7,
  ]);
  expect(["math", "reasoning", "coding", "extraction"].map(needsReference)).toEqual([true, true, true, false]);
});
