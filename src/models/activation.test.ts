import { expect, test } from "vitest";
import { gradcheck, manualSeed, ops, toNumbers } from "../torch/index.ts";
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
