import { afterEach, describe, expect, test } from "vitest";
import {
  backward,
  customFunction,
  gradcheck,
  gradients,
  manualSeed,
  noGrad,
  ops,
  randomState,
  scope,
  type Tensor,
  tensor,
  tensorMemory,
  toArray,
  toNumbers,
  trimMemory,
} from "../torch/index.ts";
import { checkpointed } from "./index.ts";

function leaf(shape: number[], dtype: "float32" | "float64" = "float64"): Tensor {
  const made = noGrad(() => ops.randn(shape, { dtype }));
  made.requiresGrad = true;
  return made;
}

const square = (x: Tensor) =>
  customFunction({
    inputs: [x],
    forward: () => ({ output: x.mul(x), saved: [x] }),
    backward: ([grad], [kept]) => [grad!.mul(kept!).mul(2)],
  });

afterEach(() => manualSeed(0));

describe("gradients", () => {
  test("of inputs and parameters are the plain ones, dropout and custom functions included", () => {
    manualSeed(3);
    const [x, weight, shift] = [leaf([5, 4]), leaf([6, 4]), leaf([6])];
    const body = (input: Tensor) =>
      ops.dropout(square(ops.linear(input, weight, shift).tanh()), 0.4, true).mul(input.sum());
    const run = (compute: () => Tensor) => {
      manualSeed(11);
      const output = compute();
      const state = toArray(randomState());
      backward(output.pow(2).sum());
      const grads = [x, weight, shift].map((tensor) => toArray(tensor.grad!));
      for (const tensor of [x, weight, shift]) tensor.grad = null;
      return { output: toArray(output), state, grads };
    };
    expect(run(() => checkpointed(body, x, [weight, shift]))).toEqual(run(() => body(x)));
  });

  test("hold to finite differences, with several inputs and outputs", () => {
    manualSeed(4);
    const worst = gradcheck(
      (a, b, w) => checkpointed((p, q) => [p!.mul(q!).matmul(w!).exp(), q!.sin()], [a!, b!], [w!]),
      [leaf([2, 3]), leaf([2, 3]), leaf([3, 2])],
    );
    expect(worst).toBeLessThan(1e-5);
  });

  test("nest, and pass through layers one after another", () => {
    manualSeed(5);
    const weights = [leaf([4, 4]), leaf([4, 4]), leaf([4, 4])];
    const layer = (weight: Tensor) => (input: Tensor) => input.matmul(weight).tanh();
    const inner = (input: Tensor) => checkpointed(layer(weights[1]!), input, [weights[1]!]);
    const stack = (input: Tensor) =>
      checkpointed(
        (h) => layer(weights[2]!)(inner(h!)),
        checkpointed(layer(weights[0]!), input, [weights[0]!]),
        weights.slice(1),
      );
    const x = leaf([3, 4]);
    const plain = gradients(weights.reduce((h, weight) => layer(weight)(h), x).sum(), [x, ...weights]);
    const again = gradients(stack(x).sum(), [x, ...weights]);
    expect(again.map((grad) => toArray(grad!))).toEqual(plain.map((grad) => toArray(grad!)));
  });

  test("flow to the parameters where no input is differentiable, and nowhere where nothing is", () => {
    const weight = leaf([3], "float32");
    const ids = tensor([0, 2], [2], "int64");
    const output = checkpointed((index) => weight.index_select(0, index!).mul(2), ids, [weight]);
    backward(output.sum());
    expect(toNumbers(weight.grad!)).toEqual([2, 0, 2]);
    expect(checkpointed((x) => x!.mul(2), tensor([1]), []).requiresGrad).toBe(false);
    expect(noGrad(() => checkpointed((x) => x!.mul(2), leaf([1]), [])).requiresGrad).toBe(false);
  });
});

test("the random state goes on after the backward as if it had not been set back", () => {
  const x = leaf([4], "float32");
  manualSeed(1);
  const output = checkpointed((input) => ops.dropout(input!, 0.5, true), x, []);
  ops.rand([3]);
  const before = toArray(randomState());
  backward(output.sum());
  expect(toArray(randomState())).toEqual(before);
});

test("what the body throws in the backward comes out as itself", () => {
  let calls = 0;
  const failing = (input: Tensor) => {
    calls += 1;
    if (calls === 2) throw new RangeError("the second time");
    return input.mul(2);
  };
  const output = checkpointed(failing, leaf([2]), []);
  expect(() => backward(output.sum())).toThrow(new RangeError("the second time"));
});

test("a parameter changed between forward and backward is refused", () => {
  const weight = leaf([2]);
  const output = checkpointed((x) => x!.mul(weight), leaf([2]), [weight]);
  noGrad(() => weight.add_(1));
  expect(() => backward(output.sum())).toThrow(/changed in place/);
});

test("memory: 32 layers keep one tensor each instead of three", () => {
  const weight = leaf([8], "float32");
  const layer = (x: Tensor) => x.mul(weight).sin().exp().tanh();
  /** The most tensors that lived at once, by their 4 MiB. */
  const peak = (wrap: (x: Tensor) => Tensor) => {
    trimMemory();
    const { used } = tensorMemory();
    scope(() => {
      let x = ops.ones([1 << 17, 8]);
      for (let k = 0; k < 32; k++) {
        const input = x;
        x = scope(() => wrap(input));
      }
      backward(x.sum());
    });
    weight.grad = null;
    return (tensorMemory().peak - used) / (4 << 20);
  };
  expect(peak(layer)).toBeGreaterThan(3 * 32);
  expect(peak((x) => checkpointed(layer, x, [weight]))).toBeLessThan(32 + 12);
});
