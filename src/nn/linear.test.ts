import { describe, expect, test } from "vitest";
import { backward, gradients, manualSeed, ops, type Tensor, toNumbers } from "../torch/index.ts";
import { embedding } from "./embedding.ts";
import { linear, linears } from "./linear.ts";

const randn = (...shape: number[]): Tensor => ops.randn(shape, { dtype: "float64" });
const asLeaf = (x: Tensor): Tensor => {
  x.requiresGrad = true;
  return x;
};

/** Every element is within a few roundings of fp32 of the exact one. */
function expectNear(got: Tensor, exact: Tensor): void {
  expect(got.shape).toEqual(exact.shape);
  const deviation = got.to("float64").sub(exact).abs().max().item() as number;
  expect(deviation).toBeLessThan(1e-5 * (exact.abs().max().item() as number));
}

describe.each([
  ["few rows", 19, 24, 7],
  ["rows enough for the kernel", 130, 200, 97],
])("%s", (_, rows, inner, columns) => {
  test("values and gradients of layers of one input are the exact ones but for rounding", () => {
    manualSeed(4);
    const given = [randn(rows, inner), randn(columns, inner), randn(columns), randn(columns, inner)];
    const scales = [randn(rows, columns), randn(rows, columns)];
    const run = (inputs: Tensor[], compute: (x: Tensor, w: Tensor, b: Tensor, v: Tensor) => Tensor[]) => {
      const [x, w, b, v] = inputs.map(asLeaf) as [Tensor, Tensor, Tensor, Tensor];
      const out = compute(x, w, b, v);
      backward(out.map((each, k) => each.mul(scales[k]!.to(each.dtype)).sum()));
      return [...out.map((each) => each.detach()), ...inputs.map((input) => input.grad!)];
    };
    const exact = run(
      given.map((x) => x.clone()),
      (x, w, b, v) => [ops.linear(x, w, b), ops.linear(x, v)],
    );
    const got = run(
      given.map((x) => x.to("float32")),
      (x, w, b, v) => linears(x, [{ weight: w, bias: b }, { weight: v }]),
    );
    for (const [k, value] of got.entries()) expectNear(value, exact[k]!);
  });

  test("products of low rank are added, scaled, and have the gradients of two layers; a second backward adds to the first", () => {
    manualSeed(6);
    const given = [
      randn(rows, inner),
      randn(columns, inner),
      randn(columns, inner),
      randn(3, inner),
      randn(columns, 3),
    ];
    const scales = [randn(rows, columns), randn(rows, columns)];
    const run = (inputs: Tensor[], compute: (...given: [Tensor, Tensor, Tensor, Tensor, Tensor]) => Tensor[]) => {
      const leaves = inputs.map(asLeaf) as [Tensor, Tensor, Tensor, Tensor, Tensor];
      const outs = [compute(...leaves), compute(...leaves)];
      for (const out of outs) backward(out.map((each, k) => each.mul(scales[k]!.to(each.dtype)).sum()));
      return [...outs[1]!.map((each) => each.detach()), ...inputs.map((input) => input.grad!)];
    };
    const exact = run(
      given.map((x) => x.clone()),
      (x, w, v, a, b) => [ops.linear(x, w), ops.linear(x, v).add(ops.linear(ops.linear(x, a), b), { alpha: 0.7 })],
    );
    const got = run(
      given.map((x) => x.to("float32")),
      (x, w, v, a, b) => linears(x, [{ weight: w }, { weight: v, lowRank: { a, b, scale: 0.7 } }]),
    );
    for (const [k, value] of got.entries()) expectNear(value, exact[k]!);
  });

  test("a residual is added, and its gradient is that of the output", () => {
    manualSeed(8);
    const given = [randn(rows, inner), randn(columns, inner), randn(rows, columns)];
    const scale = randn(rows, columns);
    const run = (inputs: Tensor[], compute: (x: Tensor, w: Tensor, r: Tensor) => Tensor) => {
      const [x, w, r] = inputs.map(asLeaf) as [Tensor, Tensor, Tensor];
      const out = compute(x, w, r);
      // The residual goes on beside the layer, as in a decoder: its gradients from both are summed.
      backward(out.mul(scale.to(out.dtype)).sum().add(r.square().sum()));
      return [out.detach(), ...inputs.map((input) => input.grad!)];
    };
    const exact = run(
      given.map((x) => x.clone()),
      (x, w, r) => ops.linear(x, w).add(r),
    );
    const inputs = given.map((x) => x.to("float32"));
    const got = run(inputs, (x, w, r) => linears(x, [{ weight: w, residual: r }])[0]!);
    for (const [k, value] of got.entries()) expectNear(value, exact[k]!);
    expect(toNumbers(inputs[2]!.detach())).toEqual(toNumbers(given[2]!.to("float32")));
  });

  test("a second backward adds to the gradient, in place; gradients asked for are not added to it", () => {
    manualSeed(5);
    const [x, w] = [randn(rows, inner).to("float32"), asLeaf(randn(columns, inner).to("float32"))];
    const loss = () => linear(x, w).square().sum();
    backward(loss());
    const once = w.grad!.clone();
    backward(loss());
    expectNear(w.grad!, once.to("float64").mul(2));
    const [found] = gradients(loss(), [w]);
    expectNear(found!, once.to("float64"));
    expectNear(w.grad!, once.to("float64").mul(2));
  });
});

test("an input that needs no gradient gets none, and the gradient of a sum is taken", () => {
  const [x, w] = [randn(3, 4).to("float32"), asLeaf(randn(2, 4).to("float32"))];
  backward(linear(x, w).sum());
  expect(x.grad).toBeNull();
  const columns = x.sum([0]);
  for (const row of [0, 1]) expectNear(w.grad!.select(0, row), columns.to("float64"));
  expect(toNumbers(linear(x, w).detach())).toEqual(toNumbers(linear(x, w.detach())));
});

test("an output that nothing flows through is left out", () => {
  const [x, w, v] = [asLeaf(randn(3, 4)), asLeaf(randn(2, 4)), asLeaf(randn(2, 4))];
  const [used] = linears(x, [{ weight: w }, { weight: v }]);
  backward(used!.sum());
  expect(v.grad).toBeNull();
  expectNear(x.grad!, w.detach().sum([0]).expand([3, 4]));
});

test("an embedding's gradient is libtorch's, the first time and added to", () => {
  manualSeed(6);
  const given = randn(11, 5);
  const ids = ops.randint(11, [40]);
  const scale = randn(40, 5);
  const run = (weight: Tensor, embed: (weight: Tensor) => Tensor) => {
    for (let pass = 0; pass < 2; pass++) backward(embed(weight).mul(scale).sum());
    return weight.grad!;
  };
  const exact = run(asLeaf(given.clone()), (weight) => ops.embedding(weight, ids));
  expectNear(
    run(asLeaf(given.clone()), (weight) => embedding(weight, ids)),
    exact,
  );
});
