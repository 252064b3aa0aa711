import { expect, test } from "vitest";
import { type Tensor, tensor, toNumbers } from "../torch/index.ts";
import { clipGradNorm } from "./index.ts";

function withGradient(values: number[], dtype: "float32" | "bfloat16" | "float64" = "float32"): Tensor {
  const parameter = tensor(
    values.map(() => 0),
    [values.length],
    dtype,
  );
  parameter.grad = tensor(values, [values.length], dtype);
  return parameter;
}
const gradients = (parameters: Tensor[]) => parameters.map((parameter) => toNumbers(parameter.grad!));

test("a norm above the bound is brought to it, the direction kept", () => {
  const parameters = [withGradient([3, 0]), withGradient([0, 4])];
  expect(clipGradNorm(parameters, 1)).toBeCloseTo(5, 6);
  expect(
    gradients(parameters)
      .flat()
      .map((x) => Number(x.toFixed(5))),
  ).toEqual([0.6, 0, 0, 0.8]);
});

test("a norm below the bound leaves the gradients bit for bit", () => {
  const parameters = [withGradient([0.3, 0.1]), tensor([1])];
  expect(clipGradNorm(parameters, 1)).toBeCloseTo(Math.hypot(0.3, 0.1), 6);
  expect(gradients(parameters.slice(0, 1))).toEqual([[Math.fround(0.3), Math.fround(0.1)]]);
});

test("types mix; halves are summed in float32", () => {
  // 4096 ones: in bfloat16 the sum of squares would stop at 256.
  const many = withGradient(new Array(4096).fill(1), "bfloat16");
  expect(clipGradNorm([many], 1000)).toBe(64);
  const mixed = [withGradient([3], "float64"), withGradient([4], "bfloat16")];
  expect(clipGradNorm(mixed, 2.5)).toBe(5);
  expect(gradients(mixed)[0]![0]).toBeCloseTo(1.5, 5);
  expect(gradients(mixed)[1]![0]).toBeCloseTo(2, 2);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])("a gradient of %s is reported, and nothing is scaled", (bad) => {
  const parameters = [withGradient([bad, 1]), withGradient([100])];
  expect(clipGradNorm(parameters, 1)).toBe(bad);
  expect(gradients(parameters)).toEqual([[bad, 1], [100]]);
});

test("without gradients the norm is 0", () => {
  expect(clipGradNorm([tensor([1])], 1)).toBe(0);
});
