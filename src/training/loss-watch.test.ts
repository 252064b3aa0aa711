import { describe, expect, test } from "vitest";
import { philox } from "../schema/index.ts";
import { lossWatch } from "./loss-watch.ts";

/** Standard normal numbers by Box and Muller's transform. */
function normals(count: number): number[] {
  const words = new Uint32Array(4);
  return Array.from({ length: count }, (_, k) => {
    philox([k, 0, 0, 0], [7, 0], words);
    const [u, v] = [(words[0]! + 1) / 2 ** 32, words[1]! / 2 ** 32];
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
  });
}

const told = (losses: readonly number[]): (readonly [number, string])[] => {
  const watch = lossWatch();
  return losses.flatMap((loss, k) => {
    const line = watch(k + 1, loss);
    return line === undefined ? [] : [[k + 1, line] as const];
  });
};

describe("a loss spike", () => {
  test("is not seen in ten thousand noisy losses, nor in losses that fall, nor in equal ones", () => {
    expect(told(normals(10_000).map((x) => 0.69 + 0.05 * x))).toEqual([]);
    expect(told(normals(2000).map((x, k) => 3 * Math.exp(-k / 300) + 0.1 + 0.01 * x))).toEqual([]);
    expect(told(Array.from({ length: 100 }, () => 0.7))).toEqual([]);
  });

  test("is told with its step and the median; a row of them once", () => {
    const losses = normals(200).map((x) => 0.69 + 0.02 * x);
    losses[99] = 1.5;
    losses[100] = 1.6;
    losses[150] = 0.9;
    expect(told(losses)).toEqual([
      [100, expect.stringMatching(/^the loss of step 100 is 1\.500, and the median of the 64 before it is 0\.6[89]/)],
      [151, expect.stringMatching(/^the loss of step 151 is 0\.9000/)],
    ]);
  });

  test("is none among the first sixteen losses, and none where it is small beside the median", () => {
    expect(told([...Array.from({ length: 15 }, () => 1), 9])).toEqual([]);
    expect(told([...Array.from({ length: 40 }, () => 1), 1.2])).toEqual([]);
    expect(told([...Array.from({ length: 40 }, () => 1), 1.3]).map(([step]) => step)).toEqual([41]);
  });
});
