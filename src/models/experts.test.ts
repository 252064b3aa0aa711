import { expect, test } from "vitest";
import { gradcheck, manualSeed, ops, type Tensor, tensor, toNumbers } from "../torch/index.ts";
import { mixture } from "./experts.ts";

const scaled = (weights: Tensor) => (index: number, some: Tensor) => some.mul(weights.select(0, index)).tanh();

test("each row is its best experts' outputs, weighed by their softmax", () => {
  const x = tensor([1, 2, 3, 4, 5, 6], [3, 2], "float64");
  const logits = tensor([3, 1, 2, 0, 0, 5, 1, 2, 2, -1, -1, 0], [3, 4], "float64");
  const out = mixture(x, logits, 2, (index, some) => some.mul(10 ** index));
  const share = (a: number, b: number) => Math.exp(a) / (Math.exp(a) + Math.exp(b));
  const factors = [
    share(3, 2) * 1 + share(2, 3) * 100,
    share(5, 2) * 10 + share(2, 5) * 1000,
    share(2, 0) * 1 + share(0, 2) * 1000,
  ];
  const wanted = [1, 2, 3, 4, 5, 6].map((value, k) => value * factors[Math.floor(k / 2)]!);
  for (const [k, value] of toNumbers(out).entries()) expect(value).toBeCloseTo(wanted[k]!, 9);
});

test("gradients are those of finite differences, also of an expert that no row chose", () => {
  manualSeed(9);
  const x = ops.randn([5, 3], { dtype: "float64" });
  const logits = tensor([3, 1, -9, 0, 0, 5, -9, 2, 2, -1, -9, 0, 1, 2, -9, 4, 4, 0, -9, 1], [5, 4], "float64");
  const weights = ops.randn([4, 3], { dtype: "float64" });
  for (const input of [x, logits, weights]) input.requiresGrad = true;
  gradcheck((rows, router, w) => mixture(rows!, router!, 2, scaled(w!)), [x, logits, weights]);
});
