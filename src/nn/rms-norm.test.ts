import { describe, expect, test } from "vitest";
import { backward, type DType, gradcheck, gradients, manualSeed, ops, type Tensor } from "../torch/index.ts";
import { rmsNorm } from "./rms-norm.ts";

const randn = (...shape: number[]): Tensor => ops.randn(shape, { dtype: "float64" });
const epsilon = 1e-5;

function asLeaf(x: Tensor, dtype: DType): Tensor {
  const copy = x.to(dtype).clone();
  copy.requiresGrad = true;
  return copy;
}

function deviation(got: Tensor, exact: Tensor): number {
  expect(got.shape).toEqual(exact.shape);
  return (got.to("float64").sub(exact).abs().max().item() as number) / (exact.abs().max().item() as number);
}

test("gradients are those of finite differences", () => {
  manualSeed(1);
  gradcheck((x, w) => rmsNorm(x!, w!, epsilon), [asLeaf(randn(3, 2, 7), "float64"), asLeaf(randn(7), "float64")]);
});

describe.each([
  ["float64", 1e-13],
  ["float32", 2e-6],
  ["bfloat16", 2e-2],
] as const)("in %s", (dtype, bound) => {
  test.each([
    [1, 4],
    [3, 5],
    [70, 64],
    [33, 576],
    [300, 83],
  ])("%i rows of %i are the formula's, and their gradients", (rows, n) => {
    manualSeed(rows);
    const [x, w, grad] = [randn(rows, n), randn(n), randn(rows, n)].map((each) => each.to(dtype));
    const [exactX, exactW] = [asLeaf(x!, "float64"), asLeaf(w!, "float64")];
    const exact = exactX.mul(exactX.square().mean([-1], true).add(epsilon).rsqrt()).mul(exactW);
    backward(exact.mul(grad!.to("float64")).sum());
    const [ownX, ownW] = [asLeaf(x!, dtype), asLeaf(w!, dtype)];
    const out = rmsNorm(ownX, ownW, epsilon);
    expect(out.dtype).toBe(dtype);
    const [ofX, ofW] = gradients(out, [ownX, ownW], grad!);
    expect(deviation(out.detach(), exact.detach())).toBeLessThan(bound);
    expect(deviation(ofX!, exactX.grad!)).toBeLessThan(10 * bound);
    expect(deviation(ofW!, exactW.grad!)).toBeLessThan(10 * bound);
  });
});

test("a weight that is not trained gets no gradient; columns of a wider tensor are taken as they lie", () => {
  const wide = randn(4, 10);
  const x = asLeaf(wide, "float64");
  const weight = randn(6);
  const part = x.narrow(1, 2, 6);
  backward(rmsNorm(part, weight, epsilon).sum());
  expect(x.grad!.narrow(1, 0, 2).abs().max().item()).toBe(0);
  expect(x.grad!.narrow(1, 2, 6).abs().max().item()).toBeGreaterThan(0);
});
