import { expect, test } from "vitest";
import { type DType, gradcheck, gradients, manualSeed, ops, toNumbers } from "../torch/index.ts";
import { gatedActivation } from "./activation.ts";

const inputs = () =>
  [0, 1].map(() => {
    const x = ops.randn([3, 7], { dtype: "float64" }).mul(2);
    x.requiresGrad = true;
    return x;
  });

test.each(["silu", "gelu_tanh"] as const)("the gradients of the %s gate are those of finite differences", (kind) => {
  manualSeed(1);
  gradcheck((gate, up) => gatedActivation(gate!, up!, kind), inputs());
});

test.each(["silu", "gelu_tanh"] as const)("the %s gate is its formula, and leaves its inputs as they are", (kind) => {
  manualSeed(2);
  const [gate, up] = inputs();
  const [g, u] = [toNumbers(gate!), toNumbers(up!)];
  const act = (x: number) =>
    kind === "silu"
      ? x / (1 + Math.exp(-x))
      : 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  const got = toNumbers(gatedActivation(gate!, up!, kind));
  for (const [k, value] of got.entries()) expect(value).toBeCloseTo(act(g[k]!) * u[k]!, 12);
  expect([toNumbers(gate!), toNumbers(up!)]).toEqual([g, u]);
});

test.each([
  ["silu", "float32", 1e-6],
  ["silu", "bfloat16", 1e-2],
  ["gelu_tanh", "float32", 1e-6],
  ["gelu_tanh", "bfloat16", 1e-2],
] as const)(
  "the %s gate in %s, far out too, is that of float64 but for rounding, and so are its gradients",
  (kind, dtype, bound) => {
    manualSeed(3);
    const given = [ops.randn([37, 29]).mul(30), ops.randn([37, 29]), ops.randn([37, 29])].map((x) => x.to(dtype));
    const run = (type: DType) => {
      const [gate, up] = given.slice(0, 2).map((x) => {
        const leaf = x.to(type).clone();
        leaf.requiresGrad = true;
        return leaf;
      });
      const out = gatedActivation(gate!, up!, kind);
      return [out.detach(), ...gradients(out, [gate!, up!], given[2]!.to(type))];
    };
    const exact = run("float64");
    for (const [k, got] of run(dtype).entries()) {
      const deviation = got!.to("float64").sub(exact[k]!).abs().max().item() as number;
      expect(deviation).toBeLessThan(bound * (exact[k]!.abs().max().item() as number));
    }
  },
);
