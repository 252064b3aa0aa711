import { expect, test } from "vitest";
import { randomStream } from "./random-stream.ts";

test("a stream is decided by its whole name and the step, in any order of asking", () => {
  const first = randomStream(7, "prompt", "source", 0);
  const forwards = [0, 1, 2, 3].map((step) => first.uniform(step));
  const again = randomStream(7, "prompt", "source", 0);
  expect([3, 2, 1, 0].map((step) => again.uniform(step)).reverse()).toEqual(forwards);
  const others = [
    randomStream(8, "prompt", "source", 0),
    randomStream(7, "prompt2", "source", 0),
    randomStream(7, "prompt", "source2", 0),
    randomStream(7, "prompt", "source", 1),
    // Names that are the same letters one after another are not the same name.
    randomStream(7, "promptsource", "", 0),
    randomStream("7", "prompt", "source", 0),
  ].map((stream) => stream.uniform(0));
  expect(new Set([forwards[0], ...others]).size).toBe(7);
});

test("numbers are uniform in [0, 1): twenty cells of a chi-square, the mean, neighbours that don't follow each other", () => {
  const count = 20_000;
  const stream = randomStream("uniform");
  const values = Array.from({ length: count }, (_, step) => stream.uniform(step));
  const cells = new Array<number>(20).fill(0);
  for (const value of values) {
    expect(value >= 0 && value < 1).toBe(true);
    cells[Math.floor(value * 20)]! += 1;
  }
  const chiSquare = cells.reduce((sum, n) => sum + (n - count / 20) ** 2 / (count / 20), 0);
  // 19 degrees of freedom: 43.8 is passed once in a thousand.
  expect(chiSquare).toBeLessThan(43.8);
  const mean = values.reduce((a, b) => a + b, 0) / count;
  expect(Math.abs(mean - 0.5)).toBeLessThan(4 * Math.sqrt(1 / 12 / count));
  const together = values.slice(1).reduce((sum, value, k) => sum + (value - 0.5) * (values[k]! - 0.5), 0) / count;
  expect(Math.abs(together)).toBeLessThan(4 / 12 / Math.sqrt(count));
});

test("steps beyond 32 bits are steps of their own", () => {
  const stream = randomStream("long");
  expect(stream.uniform(2 ** 32)).not.toBe(stream.uniform(0));
});
