import { expect, test } from "vitest";
import { pythonRandom } from "./python-random.ts";

const range = (size: number) => Array.from({ length: size }, (_, at) => at);

test("numbers and samples are those of Python's random.Random", () => {
  const random = pythonRandom(1234);
  expect(random.random()).toBe(0.966_453_535_692_138_8);
  expect(random.sample(range(60), 6)).toEqual([28, 7, 0, 5, 51, 37]);
  expect(random.sample(range(1000), 26)).toEqual([
    35, 687, 709, 85, 100, 784, 363, 242, 17, 31, 807, 16, 354, 663, 638, 495, 630, 474, 152, 93, 187, 730, 117, 865,
    14, 515,
  ]);
  expect(random.below(1_000_003)).toBe(510_395);
});

test("a text seeds as Python's does, whatever its signs", () => {
  const random = pythonRandom("is_switched_outputsWhat is é🙂?0");
  expect(range(20).map(() => random.choice([0, 1]))).toEqual([
    0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0,
  ]);
});

test("more than there are can't be drawn", () => {
  expect(() => pythonRandom(1).sample([1, 2], 3)).toThrow(RangeError);
});
