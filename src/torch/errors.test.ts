import { describe, expect, test } from "vitest";
import { TorchError } from "../schema/index.ts";
import { type DType, ops, scope, type Tensor, tensor } from "./index.ts";

const x = tensor([1, 2, 3]);

function refusal(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(TorchError);
    return (error as TorchError).message;
  }
  throw new Error("nothing was thrown");
}

describe("an operator's refusal names it, its arguments, and libtorch's first line", () => {
  test.each<[what: string, body: () => unknown, message: string | RegExp]>([
    [
      "shapes",
      () => ops.mm(ops.zeros([1, 2]), ops.zeros([3, 1])),
      "mm(float32[1, 2], float32[3, 1]): mat1 and mat2 shapes cannot be multiplied (1x2 and 3x1)",
    ],
    [
      "dtypes",
      () => ops.mm(ops.zeros([1, 2]), ops.zeros([2, 1], { dtype: "float64" })),
      "mm(float32[1, 2], float64[2, 1]): expected m1 and m2 to have the same dtype, but got: float != double",
    ],
    [
      "a device that is not there",
      () => ops.zeros([2], { device: "cuda:9" }),
      /^zeros\(\(2\), \{device: "cuda:9"\}\): \S/,
    ],
    ["a move to it", () => x.to({ device: "cuda:9" }), /^to\(float32\[3\], \{device: "cuda:9"\}\): \S/],
    ["a dimension", () => x.sum([4]), /^sum\(float32\[3\], \(4\)\): Dimension out of range/],
    [
      "lists",
      () => ops.cat([x, ops.zeros([1, 1])]),
      /^cat\(\(float32\[3\], float32\[1, 1\]\)\): Tensors must have same/,
    ],
    ["an index", () => ops.embedding(ops.zeros([2, 2]), tensor([5], [1], "int64")), /^embedding\(.*index out of range/],
  ])("%s", (_, body, message) => {
    const said = refusal(body);
    if (typeof message === "string") expect(said).toBe(message);
    else expect(said).toMatch(message);
    expect(said).not.toContain("\n");
  });
});

describe("arguments that fit no signature", () => {
  test.each<[what: string, body: () => unknown, call: string]>([
    ["a text for a number", () => x.add("a" as unknown as Tensor), 'add(float32[3], "a")'],
    ["an unknown option", () => ops.zeros([1], { typo: 1 } as object), "zeros((1), {typo: 1})"],
    ["an unknown dtype", () => x.to("float33" as DType), 'to(float32[3], "float33")'],
    ["an unknown device", () => ops.zeros([1], { device: "gpu" }), 'zeros((1), {device: "gpu"})'],
    ["a fraction for an integer", () => x.select(0, 1.5), "select(float32[3], 0, 1.5)"],
    ["too many", () => (x.relu as (...args: unknown[]) => unknown)(1, 2), "relu(float32[3], 1, 2)"],
  ])("%s: the call and the signatures are shown", (_, body, call) => {
    expect(refusal(body).startsWith(`${call}: the arguments fit no signature of the operator: aten::`)).toBe(true);
  });
});

test("a disposed tensor says why", () => {
  let kept: Tensor | undefined;
  scope(() => {
    kept = x.add(1);
  });
  for (const use of [() => kept!.add(1), () => kept!.shape, () => kept!.item(), () => kept!.grad, () => x.add(kept!)])
    expect(refusal(use)).toMatch(/made in a scope that has ended/);
  expect(kept?.disposed).toBe(true);
  kept?.dispose();
});

describe("properties", () => {
  test("a gradient must be like its tensor", () => {
    const leaf = tensor([1, 2, 3]);
    expect(refusal(() => (leaf.grad = tensor([1])))).toMatch(/shape \[1\] for a tensor of shape \[3\]/);
    expect(refusal(() => (leaf.grad = tensor([1, 2, 3], [3], "float64")))).toMatch(/float64 for a tensor of float32/);
    expect(leaf.grad).toBeNull();
  });

  test("only floating tensors require gradients", () => {
    expect(refusal(() => (tensor([1], [1], "int64").requiresGrad = true))).toMatch(/requiresGrad: .*floating point/);
  });

  test("an item is of one element", () => {
    expect(refusal(() => x.item())).toMatch(/item: .*3 elements/);
  });
});

describe("overloads", () => {
  test("are chosen by the arguments", () => {
    const y = tensor([1, 4, 2, 3], [2, 2]);
    expect(y.max().item()).toBe(4);
    expect(y.max(0)).toHaveLength(2);
    expect(y.max(y.mul(2)).shape).toEqual([2, 2]);
    expect(y.sum().shape).toEqual([]);
    expect(y.sum(0).shape).toEqual([2]);
    expect(y.sum([0], true).shape).toEqual([1, 2]);
    expect(y.sum([0], true, { dtype: "float64" }).dtype).toBe("float64");
    expect(ops.pow(2, y).sum().item()).toBe(2 + 16 + 4 + 8);
    expect(y.pow(2).sum().item()).toBe(1 + 16 + 4 + 9);
    expect(y.add(1, 2).sum().item()).toBe(18);
    expect(y.add(y, { alpha: 2 }).sum().item()).toBe(30);
    expect(ops.arange(3).dtype).toBe("int64");
    expect(ops.arange(0.5, 2).shape).toEqual([2]);
    expect(y.to("int32").dtype).toBe("int32");
    expect(y.to("cpu", "float16").dtype).toBe("float16");
  });

  test("with `out` write there", () => {
    const out = ops.empty([3]);
    ops.mul(x, x, { out });
    expect(out.sum().item()).toBe(14);
  });
});
