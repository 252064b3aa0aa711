import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ModelError } from "../schema/index.ts";
import { gradcheck, manualSeed, ops, tensor, toNumbers } from "../torch/index.ts";
import type { DecoderConfig, Rope } from "./config.ts";
import { familyOfConfig } from "./families/index.ts";
import { frequencies, rotate, rotations } from "./rope.ts";

const plain: Rope = { theta: 10_000, scaling: { kind: "none" } };
const turns = (positions: readonly number[], rotaryDim: number, dtype: "float32" | "float64", rope = plain) =>
  rotations({ rotaryDim } as DecoderConfig, tensor(positions, [positions.length], "int64"), dtype)(rope);

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

interface Rotation {
  readonly name: string;
  /** A `config.json` with every field. */
  readonly config: Record<string, unknown>;
  readonly frequencies: readonly number[];
  readonly amplitude: number;
}
// Made by bench/fixtures/models_truth.py.
const figures = JSON.parse(
  readFileSync(new URL("./fixtures/rope.json", import.meta.url), "utf8"),
) as readonly Rotation[];

test.each(figures)("frequencies of $name are those of transformers", ({ config, ...wanted }) => {
  const { layers, rotaryDim } = familyOfConfig(config.model_type, "config.json").parse(config);
  const rope = layers[0]!.rope!;
  const got = frequencies(rope, rotaryDim);
  expect(got.length).toBe(wanted.frequencies.length);
  // transformers computes them in float32.
  for (const [k, f] of got.entries()) expect(Math.abs(f / wanted.frequencies[k]! - 1)).toBeLessThan(1e-5);
  expect(rope.scaling.kind === "longrope" ? rope.scaling.amplitude : 1).toBeCloseTo(wanted.amplitude, 12);
});

const longrope: Rope = {
  theta: 10_000,
  scaling: { kind: "longrope", factors: [1.5, 2, 3, 4], amplitude: 1.2, originalPositions: 100 },
};

test("a part of each head is turned, the rest stays; an amplitude scales what is turned", () => {
  manualSeed(5);
  const x = ops.randn([3, 2, 12], { dtype: "float64" });
  x.requiresGrad = true;
  const turn = turns([0, 5, 99], 8, "float64", longrope);
  gradcheck((input) => rotate(input!, turn), [x]);
  const out = rotate(x, turn);
  expect(toNumbers(out.narrow(-1, 8, 4))).toEqual(toNumbers(x.narrow(-1, 8, 4)));
  const norm = (y: typeof x) => y.narrow(-1, 0, 8).norm().item() as number;
  expect(norm(out) / norm(x)).toBeCloseTo(1.2, 6);
});

test("in fp32 and bf16, of heads that lie apart too, a rotation is that of float64 but for rounding", () => {
  manualSeed(6);
  const positions = Array.from({ length: 9 }, (_, k) => k * k);
  const wide = ops.randn([9, 5 * 40], { dtype: "float64" });
  const heads = (x: typeof wide) => x.narrow(1, 40, 3 * 40).view([9, 3, 40]);
  const exact = rotate(heads(wide), turns(positions, 36, "float64"));
  for (const [dtype, bound] of [
    ["float32", 1e-5],
    ["bfloat16", 3e-2],
  ] as const) {
    const got = rotate(
      heads(wide.to(dtype)),
      rotations({ rotaryDim: 36 } as DecoderConfig, tensor(positions, [9], "int64"), dtype)(plain),
    );
    expect(got.to("float64").sub(exact).abs().max().item()).toBeLessThan(bound * (exact.abs().max().item() as number));
  }
});

test("texts that are longer than the rotation is known for are refused", () => {
  expect(() => turns([99, 100], 8, "float32", longrope)).toThrow(ModelError);
  expect(() => turns([99, 100], 8, "float32", longrope)).toThrow(/101 tokens.*up to 100/);
});
