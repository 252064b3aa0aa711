import { describe, expect, test } from "vitest";
import { backward, manualSeed, ops, type Tensor, toNumbers } from "../torch/index.ts";
import { linear, product, recordedOneDnnLinear } from "./linear.ts";
import { hasOneDnn } from "./onednn.ts";

const randn = (...shape: number[]): Tensor => ops.randn(shape, { dtype: "float64" });

/** Every element is within a few roundings of fp32 of the exact one. */
function expectNear(got: Tensor, exact: Tensor): void {
  expect(got.shape).toEqual(exact.shape);
  const deviation = got.to("float64").sub(exact).abs().max().item() as number;
  expect(deviation).toBeLessThan(1e-5 * (exact.abs().max().item() as number));
}

test("a product is the exact one but for rounding, of transposed views too", () => {
  manualSeed(3);
  const [a, b] = [randn(17, 33), randn(33, 5)];
  const exact = a.mm(b);
  expectNear(product(a.to("float32"), b.to("float32")), exact);
  expectNear(product(a.t().to("float32").contiguous().t(), b.t().to("float32").contiguous().t()), exact);
  expectNear(product(a, b), exact);
});

describe("values and gradients of the linear layer are the exact ones but for rounding", () => {
  const ways: [string, typeof linear][] = [["the faster library", linear]];
  if (hasOneDnn()) ways.push(["oneDNN", recordedOneDnnLinear]);

  test.each(ways)("by %s", (_, way) => {
    manualSeed(4);
    const given = [randn(19, 24), randn(7, 24), randn(7)];
    const weights = randn(19, 7);
    const run = (inputs: Tensor[], compute: typeof linear) => {
      for (const input of inputs) input.requiresGrad = true;
      const [x, w, b] = inputs as [Tensor, Tensor, Tensor];
      const out = compute(x, w, b);
      backward(out.mul(weights.to(out.dtype)).sum());
      return [out.detach(), ...inputs.map((input) => input.grad!)];
    };
    const exact = run(
      given.map((x) => x.clone()),
      ops.linear,
    );
    const got = run(
      given.map((x) => x.to("float32")),
      way,
    );
    for (const [k, value] of got.entries()) expectNear(value, exact[k]!);
  });

  test.each(ways)("by %s: an input that needs no gradient gets none, and the gradient of a sum is taken", (_, way) => {
    const [x, w] = [randn(3, 4).to("float32"), randn(2, 4).to("float32")];
    w.requiresGrad = true;
    backward(way(x, w, null).sum());
    expect(x.grad).toBeNull();
    const columns = x.sum([0]);
    for (const row of [0, 1]) expectNear(w.grad!.select(0, row), columns.to("float64"));
    expect(toNumbers(way(x, w, null).detach())).toEqual(toNumbers(way(x, w.detach(), null)));
  });
});
