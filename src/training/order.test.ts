import { describe, expect, test } from "vitest";
import { batchesOf, plannedBatches, shuffled } from "./order.ts";

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);
const all = (count: number) => [...Array(count).keys()];

describe("shuffled", () => {
  test("is the order of the SHA-256 of seed/epoch/index, the same on every machine", () => {
    // By Python: sorted(range(8), key=lambda i: hashlib.sha256(f"42/0/{i}".encode()).hexdigest())
    expect(shuffled(8, 42, 0)).toEqual([6, 7, 2, 3, 0, 5, 4, 1]);
    expect(shuffled(8, 42, 1)).toEqual([2, 0, 4, 5, 7, 6, 1, 3]);
  });

  test("is a permutation, another for another seed or epoch", () => {
    for (const count of [0, 1, 2, 17, 300]) expect(sorted(shuffled(count, 3, 0))).toEqual(all(count));
    const orders = [shuffled(50, 1, 0), shuffled(50, 1, 1), shuffled(50, 2, 0)].map(String);
    expect(new Set(orders).size).toBe(3);
    // Seed and epoch don't run into each other.
    expect(shuffled(50, 1, 11)).not.toEqual(shuffled(50, 11, 1));
  });

  test("puts an index anywhere", () => {
    const places = all(400).map((seed) => shuffled(10, seed, 0).indexOf(0));
    const counts = all(10).map((place) => places.filter((p) => p === place).length);
    const chiSquare = counts.reduce((sum, n) => sum + (n - 40) ** 2 / 40, 0);
    // 9 degrees of freedom: 27.9 is passed once in a thousand.
    expect(chiSquare).toBeLessThan(27.9);
  });
});

describe("batches", () => {
  const inOrder = (count: number) => () => all(count);

  test("hold every item once an epoch, the last step what is left", () => {
    expect(batchesOf(10, 4, 1, inOrder(10))).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ]);
    const sequence = batchesOf(10, 4, 3, (epoch) => shuffled(10, 5, epoch)).flat();
    expect(sequence).toEqual([0, 1, 2].flatMap((epoch) => shuffled(10, 5, epoch)));
  });

  test("of a fraction of an epoch are its first items, one at least", () => {
    expect(batchesOf(10, 4, 0.5, inOrder(10))).toEqual([[0, 1, 2, 3], [4]]);
    expect(batchesOf(10, 4, 1.2, inOrder(10)).flat()).toEqual([...all(10), 0, 1]);
    expect(batchesOf(10, 4, 0.001, inOrder(10))).toEqual([[0]]);
    expect(batchesOf(3, 128, 1, inOrder(3))).toEqual([[0, 1, 2]]);
  });

  test("that stay as they are come in a new order in each epoch, each whole", () => {
    const plan = { batchSize: 4, order: "batches", seed: 5 } as const;
    const blocks = [
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ];
    const two = plannedBatches(10, { ...plan, epochs: 2 });
    expect(two).toEqual([0, 1].flatMap((epoch) => shuffled(3, 5, epoch).map((block) => blocks[block])));
    expect(plannedBatches(10, { ...plan, epochs: 0.4 })).toEqual(two.slice(0, 1));
    expect(plannedBatches(10, { ...plan, epochs: 1, order: "given" })).toEqual(blocks);
  });
});
