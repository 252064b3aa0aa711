import { describe, expect, test } from "vitest";
import { manualSeed, native, ops, type Tensor, toNumbers } from "../torch/index.ts";
import { addProduct, product } from "./product.ts";

const randn = (...shape: number[]): Tensor => ops.randn(shape, { dtype: "float64" });
const transposed = (x: Tensor): Tensor => x.t().contiguous().t();

function deviation(got: Tensor, exact: Tensor): number {
  expect(got.shape).toEqual(exact.shape);
  return (got.to("float64").sub(exact).abs().max().item() as number) / (exact.abs().max().item() as number);
}

const sizes = [
  [1, 1, 1],
  [7, 5, 3],
  [12, 32, 192],
  [13, 33, 193],
  [97, 130, 500],
  [200, 1600, 110],
] as const;
const layouts = [
  ["as they are", (x: Tensor) => x, (x: Tensor) => x],
  ["the first transposed", transposed, (x: Tensor) => x],
  ["the second transposed", (x: Tensor) => x, transposed],
  ["both transposed", transposed, transposed],
] as const;

describe.each(layouts)("matrices %s", (_, left, right) => {
  test.each(sizes)(
    "the kernel's product of [%i, k] and [k, %i], k = %i, is the exact one but for rounding",
    (m, n, k) => {
      manualSeed(m + n + k);
      const [a, b, before] = [left(randn(m, k)), right(randn(k, n)), randn(m, n)];
      const exact = a.mm(b);
      for (const [type, bound] of [
        ["float32", 1e-5],
        ["float64", 1e-13],
      ] as const)
        for (const add of [false, true]) {
          const sum = before.to(type).clone();
          native().addProduct(sum, a.to(type), b.to(type), add ? sum : null);
          const apart = ops.full([m, n], Number.NaN, { dtype: type });
          native().addProduct(apart, a.to(type), b.to(type), add ? before.to(type) : null);
          expect(toNumbers(apart)).toEqual(toNumbers(sum));
          expect(deviation(sum, add ? exact.add(before) : exact)).toBeLessThan(bound);
        }
    },
  );
});

test("rows of the sum may lie apart, factors may be seen everywhere or empty", () => {
  const wide = ops.zeros([20, 40], { dtype: "float64" });
  const [a, b] = [randn(20, 9), randn(9, 30)];
  native().addProduct(wide.narrow(1, 5, 30), a, b, null);
  expect(deviation(wide.narrow(1, 5, 30), a.mm(b))).toBeLessThan(1e-13);
  expect(wide.narrow(1, 35, 5).abs().max().item()).toBe(0);
  const one = randn(1, 1).expand([20, 9]);
  native().addProduct(wide.narrow(1, 5, 30), one, b, null);
  expect(deviation(wide.narrow(1, 5, 30), one.mm(b))).toBeLessThan(1e-12);
  native().addProduct(wide, randn(20, 0), randn(0, 40), null);
  expect(wide.abs().max().item()).toBe(0);
});

test("matrices that don't fit together are refused", () => {
  expect(() => native().addProduct(randn(2, 2), randn(2, 3), randn(4, 2), null)).toThrow(/fit together/);
  expect(() => native().addProduct(randn(2, 2), randn(2, 3).to("float32"), randn(3, 2), null)).toThrow(/one type/);
});

test.each(["float32", "float64"] as const)("product and addProduct by whatever is fastest here, in %s", (type) => {
  manualSeed(3);
  for (const [m, k, n] of [
    [17, 33, 5],
    [120, 140, 100],
  ] as const) {
    const [a, b] = [randn(m, k), randn(k, n)];
    const exact = a.mm(b);
    const result = product(a.to(type), b.to(type));
    expect(deviation(result, exact)).toBeLessThan(1e-5);
    addProduct(result, transposed(a).to(type), transposed(b).to(type));
    expect(deviation(result, exact.mul(2))).toBeLessThan(1e-5);
  }
});
