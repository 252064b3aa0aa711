import { expect, test } from "vitest";
import { packed } from "./packing.ts";

/** First fit as it is defined: each item looks at every bin from the first. */
function firstFit(sizes: readonly number[], capacity: number): number[][] {
  const bins: { items: number[]; filled: number }[] = [];
  for (const [item, size] of sizes.entries()) {
    const open = bins.find(({ filled }) => filled + size <= capacity);
    if (open === undefined) bins.push({ items: [item], filled: size });
    else {
      open.items.push(item);
      open.filled += size;
    }
  }
  return bins.map(({ items }) => items);
}

test.each([0, 1, 2, 7, 64, 500])("%i items are packed by first fit, those larger than a bin alone", (count) => {
  for (const [seed, capacity] of [
    [1, 100],
    [2, 37],
    [3, 12],
  ] as const) {
    const sizes = Array.from({ length: count }, (_, k) => 1 + ((k * 7919 * seed + seed) % 61));
    expect(packed(sizes, capacity)).toEqual(firstFit(sizes, capacity));
  }
});

test("400,000 items lose none, and no bin holds too much", () => {
  const sizes = Array.from({ length: 400_000 }, (_, k) => 600 + ((k * 7919) % 900));
  const bins = packed(sizes, 2048);
  expect(bins.flat().length).toBe(sizes.length);
  for (const bin of bins) expect(bin.reduce((sum, item) => sum + sizes[item]!, 0)).toBeLessThanOrEqual(2048);
});
