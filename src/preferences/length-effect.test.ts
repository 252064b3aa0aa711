import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { exactSum } from "./exact-sum.ts";
import { type LengthEffect, lengthEffectFit } from "./length-effect.ts";

interface Case extends LengthEffect {
  readonly rows: readonly (readonly [prompt: number, source: number, characters: number, reward: number])[];
}
const cases = JSON.parse(readFileSync(new URL("fixtures/length-effect.json", import.meta.url), "utf8")) as Case[];

type Row = Case["rows"][number];

function fitted(rows: readonly Row[], order: (row: Row) => number = () => 0): LengthEffect | null {
  const prompts = new Map<number, Row[]>();
  for (const row of rows.toSorted((a, b) => order(a) - order(b)))
    prompts.set(row[0], [...(prompts.get(row[0]) ?? []), row]);
  const fit = lengthEffectFit();
  for (const own of prompts.values())
    fit.add(
      own.map(([, source, characters, value]) => ({ source: `s${source}`, value, text: "x".repeat(characters) })),
    );
  return fit.result();
}

describe.each(cases)(
  "least squares with a column for each prompt and source: $perThousand",
  ({ rows, ...expected }) => {
    test("are those of NumPy", () => {
      const found = fitted(rows)!;
      expect(found.perThousand).toBeCloseTo(expected.perThousand, 9);
      expect(found.explained).toBeCloseTo(expected.explained, 9);
    });

    test("the order of prompts and responses changes no bit", () => {
      const found = fitted(rows);
      for (const factor of [7919, 104_729])
        expect(fitted(rows, ([prompt, , characters]) => ((prompt + 3 * characters) * factor) % 1009)).toEqual(found);
    });

    test("levels of prompts and sources change nothing, a liking of length adds to it, and without it none is left", () => {
      const { perThousand } = fitted(rows)!;
      const moved = rows.map(([p, s, c, r]): Row => [p, s, c, r + 5 * Math.sin(p) - 3 * s]);
      expect(fitted(moved)!.perThousand).toBeCloseTo(perThousand, 9);
      const liked = rows.map(([p, s, c, r]): Row => [p, s, c, r + (2 * c) / 1000]);
      expect(fitted(liked)!.perThousand).toBeCloseTo(perThousand + 2, 9);
      const corrected = rows.map(([p, s, c, r]): Row => [p, s, c, r - (perThousand * c) / 1000]);
      expect(fitted(corrected)!.perThousand).toBeCloseTo(0, 9);
      expect(fitted(corrected)!.explained).toBeCloseTo(0, 9);
    });
  },
);

test("where lengths, or rewards, differ with the source alone, or nothing is compared, there is no effect", () => {
  expect(fitted([])).toBeNull();
  expect(fitted([[0, 0, 10, 1]])).toBeNull();
  const bySource = [0, 1, 2].flatMap((prompt) => [0, 1].map((source): Row => [prompt, source, 100 + 50 * source, 3]));
  expect(fitted(bySource)).toBeNull();
  expect(fitted(bySource.map(([p, s, c], at): Row => [p, s, c, at]))).toBeNull();
  expect(fitted(bySource.map(([p, s, c, r], at): Row => [p, s, c + at * at, r]))).toBeNull();
});

describe("exact sums", () => {
  const total = (values: readonly number[]) => {
    const sum = exactSum();
    for (const value of values) sum.add(value);
    return sum.total();
  };

  test("lose nothing, and round once", () => {
    expect(total([])).toBe(0);
    expect(total([1e100, 1, -1e100])).toBe(1);
    expect(total(Array<number>(10).fill(0.1))).toBe(1);
    // Half-way between two numbers, by a hair to the upper and to the lower one.
    expect(total([1, 2 ** -53, 2 ** -120])).toBe(1 + 2 ** -52);
    expect(total([1, 2 ** -53, -(2 ** -120)])).toBe(1);
    expect(total([1, 2 ** -53])).toBe(1);
  });

  test("are the same in every order", () => {
    const values = Array.from({ length: 500 }, (_, at) => Math.sin(at * 12.9898) * 10 ** (at % 23));
    const expected = total(values);
    expect(total(values.toReversed())).toBe(expected);
    expect(total(values.toSorted((a, b) => a - b))).toBe(expected);
    expect(total([...values, ...values.map((value) => -value)])).toBe(0);
  });
});
