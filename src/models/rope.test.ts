import { expect, test } from "vitest";
import { gradcheck, manualSeed, ops, tensor, toNumbers } from "../torch/index.ts";
import type { DecoderConfig, Rope } from "./config.ts";
import { frequencies, rotate, rotations } from "./rope.ts";

const plain: Rope = { theta: 10_000, scaling: { kind: "none" } };
const turns = (positions: readonly number[], headDim: number, dtype: "float32" | "float64") =>
  rotations({ headDim } as DecoderConfig, tensor(positions, [positions.length], "int64"), dtype)(plain);

test("the gradient of a rotation is that of finite differences", () => {
  manualSeed(3);
  const x = ops.randn([3, 2, 8], { dtype: "float64" });
  x.requiresGrad = true;
  gradcheck((input) => rotate(input!, turns([0, 5, 117], 8, "float64")), [x]);
});

test("a rotation keeps lengths, and products depend on the distance alone", () => {
  manualSeed(4);
  const [q, k] = [ops.randn([1, 1, 16]), ops.randn([1, 1, 16])];
  const at = (x: typeof q, position: number) => rotate(x, turns([position], 16, "float32"));
  const product = (i: number, j: number) => at(q, i).mul(at(k, j)).sum().item() as number;
  expect(product(7, 3)).toBeCloseTo(product(104, 100), 3);
  expect(product(7, 3)).not.toBeCloseTo(product(8, 3), 2);
  expect(at(q, 55).norm().item()).toBeCloseTo(q.norm().item() as number, 4);
  expect(toNumbers(at(q, 0))).toEqual(toNumbers(q));
});

test("frequencies: plain, all alike, and by wavelength as in Llama 3.1", () => {
  const base = [1, 0.1, 0.01, 0.001];
  const given = (scaling: Rope["scaling"]) => frequencies({ theta: 10_000, scaling }, 8);
  for (const [k, f] of given({ kind: "none" }).entries()) expect(f).toBeCloseTo(base[k]!, 15);
  for (const [k, f] of given({ kind: "linear", factor: 4 }).entries()) expect(f).toBeCloseTo(base[k]! / 4, 15);
  const llama3 = given({
    kind: "llama3",
    factor: 4,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalPositions: 64,
  });
  // Wavelength 6.3 is short, 628 and 6283 are long, 62.8 lies between: 64 / 62.8 = 1.0186 turns, 0.0062 of the way.
  const share = (64 * 0.1) / (2 * Math.PI);
  const between = ((1 - (share - 1) / 3) * 0.1) / 4 + ((share - 1) / 3) * 0.1;
  for (const [k, f] of [1, between, 0.0025, 0.00025].entries()) expect(llama3[k]).toBeCloseTo(f, 12);
});
