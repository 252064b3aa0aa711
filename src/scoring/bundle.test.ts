import { describe, expect, test } from "vitest";
import { toNumbers } from "../torch/index.ts";
import { bundleTokens, microBatches, packBundles } from "./bundle.ts";

test("bundles lie flat: x once, then each y, positions going on from x", () => {
  const batch = packBundles([
    { prompt: [10, 11], responses: [[20, 21, 22], [30]] },
    { prompt: [40], responses: [] },
    { prompt: [50, 51, 52], responses: [[60, 61]] },
  ]);
  expect(toNumbers(batch.ids)).toEqual([10, 11, 20, 21, 22, 30, 40, 50, 51, 52, 60, 61]);
  expect(toNumbers(batch.positions)).toEqual([0, 1, 2, 3, 4, 2, 0, 0, 1, 2, 3, 4]);
  expect(toNumbers(batch.targets)).toEqual([20, 21, 22, 30, 60, 61]);
  // A first token is predicted by the prompt's last token, every other by the one before it.
  expect(toNumbers(batch.predictors)).toEqual([1, 2, 3, 1, 9, 10]);
  expect(toNumbers(batch.owners)).toEqual([0, 0, 0, 1, 2, 2]);
  expect(batch.spans).toEqual([
    { start: 0, promptLength: 2, responseLengths: [3, 1] },
    { start: 6, promptLength: 1, responseLengths: [] },
    { start: 7, promptLength: 3, responseLengths: [2] },
  ]);
  expect([batch.responses, batch.tokens]).toEqual([3, 12]);
  expect(bundleTokens({ prompt: [10, 11], responses: [[20, 21, 22], [30]] })).toBe(6);
});

describe("micro-batches", () => {
  const sizes = [5, 3, 4, 12, 1, 1, 1, 9, 2];
  const of = (budget: number) => microBatches(sizes, (size) => size, budget);

  test("hold every item once, in order, within the budget wherever an item allows it", () => {
    for (const budget of [1, 4, 8, 10, 20, 100, Number.POSITIVE_INFINITY]) {
      const batches = of(budget);
      expect(batches.flat()).toEqual(sizes);
      for (const batch of batches) {
        const tokens = batch.reduce((a, b) => a + b, 0);
        expect(tokens <= budget || batch.length === 1).toBe(true);
      }
      // Greedy: no batch could have taken the next one's first item.
      for (const [k, batch] of batches.slice(1).entries())
        expect(batches[k]!.reduce((a, b) => a + b, 0) + batch[0]!).toBeGreaterThan(budget);
    }
  });

  test("of nothing are none", () => {
    expect(microBatches([], () => 1, 4)).toEqual([]);
  });
});
