import { describe, expect, test } from "vitest";
import { TorchError } from "../schema/index.ts";
import { byteSize, type DType, isTensor, ops, tensor, toArray, toNumbers } from "./index.ts";

test.each([
  ["float32", Float32Array.of(1.5, -0, Number.POSITIVE_INFINITY)],
  ["float64", Float64Array.of(Math.PI, Number.MIN_VALUE)],
  ["int64", BigInt64Array.of(2n ** 53n + 1n, -(2n ** 63n), 2n ** 63n - 1n)],
  ["int32", Int32Array.of(-(2 ** 31), 2 ** 31 - 1)],
  ["int16", Int16Array.of(-32768, 32767)],
  ["int8", Int8Array.of(-128, 127)],
  ["uint8", Uint8Array.of(0, 255)],
] as const)("%s goes in and comes out bit for bit", (dtype, values) => {
  const made = tensor(values);
  expect(made.dtype).toBe(dtype);
  expect(toArray(made)).toEqual(values);
  expect(byteSize(made)).toBe(values.byteLength);
});

test("a view of an array's middle is copied, and the copy is the tensor's own", () => {
  const values = Float32Array.of(0, 1, 2, 3);
  const made = tensor(values.subarray(1, 3));
  values.fill(9);
  expect(toNumbers(made)).toEqual([1, 2]);
});

test("elements come row-major, whatever the strides", () => {
  const made = tensor([1, 2, 3, 4, 5, 6], [2, 3]).t();
  expect(made.strides).toEqual([1, 3]);
  expect(toNumbers(made)).toEqual([1, 4, 2, 5, 3, 6]);
});

test.each<[DType, number[]]>([
  ["bfloat16", [1, -2.5]],
  ["float16", [1, -2.5]],
  ["bool", [1, 0]],
  ["int64", [1, -7]],
])("plain numbers become %s", (dtype, values) => {
  const made = tensor(values, [1, 2], dtype);
  expect([made.dtype, made.shape, toNumbers(made)]).toEqual([dtype, [1, 2], values]);
});

describe("integers beyond 2^53", () => {
  const big = 2n ** 53n + 1n;

  test("stay exact as BigInt, as an element and as an operator's argument", () => {
    const made = tensor(BigInt64Array.of(big));
    expect(toArray(made.add(1))).toEqual(BigInt64Array.of(big + 1n));
    expect(toArray(ops.full([1], big, { dtype: "int64" }))).toEqual(BigInt64Array.of(big));
    expect(made.eq(big).item()).toBe(true);
  });

  test("are not rounded silently", () => {
    expect(() => tensor(BigInt64Array.of(big)).item()).toThrow(/beyond 2\^53/);
    expect(() => tensor([2 ** 53], [1], "int64")).toThrow(TorchError);
    expect(() => tensor([1.5], [1], "int64")).toThrow(/1.5 is no whole number/);
    expect(tensor(BigInt64Array.of(big - 2n)).item()).toBe(2 ** 53 - 1);
  });
});

test("shapes that don't fit the data are refused", () => {
  expect(() => tensor([1, 2], [3])).toThrow(/needs 12 bytes, the array has 8/);
  expect(() => tensor([1, 2], [-1, -2])).toThrow(/negative dimension/);
  expect(tensor([], [0, 4]).shape).toEqual([0, 4]);
});

test("types without a JavaScript array say so", () => {
  expect(() => toArray(ops.zeros([1], { dtype: "complex64" }))).toThrow(/no JavaScript array holds complex64/);
});

test("only tensors are tensors", () => {
  expect([tensor([1]), {}, null, [1], new Float32Array(1)].map(isTensor)).toEqual([true, false, false, false, false]);
});
