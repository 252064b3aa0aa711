import { expect, test } from "vitest";
import { softcap } from "../models/index.ts";
import { backward, type DType, gradcheck, manualSeed, ops, type Tensor, tensor, toNumbers } from "../torch/index.ts";
import { tokenAlignments, tokenLogProbs } from "./token-log-probs.ts";

const rows = 7;
const vocabulary = 11;
const targets = () => tensor([3, 0, 10, 3, 7, 1, 3], [rows], "int64");

function inputs(dtype: DType): [Tensor, Tensor] {
  manualSeed(11);
  return [ops.randn([rows, 4], { dtype: "float64" }), ops.randn([vocabulary, 4], { dtype: "float64" })].map((x) => {
    const y = x.mul(1.5).to(dtype);
    y.requiresGrad = true;
    return y;
  }) as [Tensor, Tensor];
}

test.each([1, 2, 3, 6, 7, 64])("gradients are those of finite differences in chunks of %i rows", (size) => {
  for (const cap of [null, 1.5])
    gradcheck((hidden, matrix) => tokenLogProbs(hidden!, matrix!, targets(), { size, cap }), inputs("float64"));
});

test.each([null, 1.5])(
  "values and gradients are those of log_softmax on all logits (soft-capped to %s), however large the chunks",
  (cap) => {
    const run = (compute: (hidden: Tensor, matrix: Tensor) => Tensor) => {
      const given = inputs("float32");
      const out = compute(...given);
      backward(out.mul(ops.arange(rows).cos()).sum());
      return [out, ...given.map((x) => x.grad!)].map(toNumbers);
    };
    const plain = run((hidden, matrix) =>
      softcap(ops.linear(hidden, matrix), cap).log_softmax(-1).gather(-1, targets().unsqueeze(-1)).squeeze(-1),
    );
    const chunks = [1, 3, 4, 7].flatMap((size) => [{ size, keptBytes: 0 }, { size }]);
    for (const options of [...chunks, {}]) {
      const chunked = run((hidden, matrix) => tokenLogProbs(hidden, matrix, targets(), { ...options, cap }));
      for (const [n, values] of chunked.entries())
        for (const [m, value] of values.entries()) expect(value).toBeCloseTo(plain[n]![m]!, 5);
    }
  },
);

test("bfloat16 logits are summed up in float32", () => {
  const [hidden, matrix] = inputs("bfloat16");
  const got = tokenLogProbs(hidden, matrix, targets(), { size: 3 });
  expect(got.dtype).toBe("float32");
  const exact = ops
    .linear(hidden.to("float64"), matrix.to("float64"))
    .log_softmax(-1)
    .gather(-1, targets().unsqueeze(-1));
  for (const [k, value] of toNumbers(got).entries()) expect(Math.abs(value - toNumbers(exact)[k]!)).toBeLessThan(0.03);
  backward(got.sum());
  expect([hidden.grad!.dtype, matrix.grad!.dtype]).toEqual(["bfloat16", "bfloat16"]);
});

test.each([null, 1.5])(
  "collisions are log sum p^2 (soft-capped to %s), without a gradient, beside the same log-probs",
  (cap) => {
    for (const size of [1, 3, 64]) {
      const [hidden, matrix] = inputs("float64");
      const { logProbs, collisions } = tokenAlignments(hidden, matrix, targets(), { size, cap });
      const logits = softcap(ops.linear(hidden, matrix), cap).detach();
      const want = ops.logsumexp(logits.mul(2), -1).sub(ops.logsumexp(logits, -1).mul(2));
      for (const [k, value] of toNumbers(collisions).entries()) expect(value).toBeCloseTo(toNumbers(want)[k]!, 10);
      expect(collisions.requiresGrad).toBe(false);
      backward(logProbs.sum());
      const plain = inputs("float64");
      const alone = tokenLogProbs(...plain, targets(), { size, cap });
      backward(alone.sum());
      expect(toNumbers(logProbs)).toEqual(toNumbers(alone));
      expect(toNumbers(matrix.grad!)).toEqual(toNumbers(plain[1].grad!));
    }
  },
);
