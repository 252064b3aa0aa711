import { expect, test } from "vitest";
import { softcap } from "../models/index.ts";
import {
  backward,
  type DType,
  gradcheck,
  manualSeed,
  noGrad,
  ops,
  type Tensor,
  tensor,
  toNumbers,
} from "../torch/index.ts";
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

test.each([{}, { keptBytes: 0 }])(
  "a second backward through the same pass gives the same gradients (%o)",
  (options) => {
    const given = inputs("float64");
    const logProbs = tokenLogProbs(...given, targets(), { size: 3, ...options });
    backward(logProbs.sum(), undefined, true);
    const once = given.map((x) => toNumbers(x.grad!));
    backward(logProbs.sum());
    for (const [k, x] of given.entries())
      for (const [n, value] of toNumbers(x.grad!).entries()) expect(value).toBeCloseTo(2 * once[k]![n]!, 12);
  },
);

test.each(["float32", "bfloat16", "float64"] as const)(
  "a row with a logit that is no number has no log-prob, in %s",
  (type) => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const [hidden, matrix] = inputs(type);
      noGrad(() => void hidden.select(0, 2).fill_(value));
      const logProbs = tokenLogProbs(hidden, matrix, targets());
      expect(toNumbers(logProbs).map(Number.isFinite)).toEqual([true, true, false, true, true, true, true]);
      backward(logProbs.sum());
      const finite = toNumbers(hidden.grad!.sum([1])).map(Number.isFinite);
      expect(finite).toEqual([true, true, false, true, true, true, true]);
    }
  },
);

test("large logits neither overflow nor vanish, and a token without a chance has none", () => {
  const hidden = tensor([1], [1, 1], "float32");
  const logits = [1000, 999, -1e30, Number.NEGATIVE_INFINITY, ...Array.from({ length: 20 }, (_, k) => k)];
  const matrix = tensor(logits, [logits.length, 1], "float32");
  const logProb = (token: number) => toNumbers(tokenLogProbs(hidden, matrix, tensor([token], [1], "int64")))[0];
  const rest = Math.log1p(Math.exp(-1));
  expect(logProb(0)).toBeCloseTo(-rest, 6);
  expect(logProb(1)).toBeCloseTo(-1 - rest, 4);
  expect(logProb(3)).toBe(Number.NEGATIVE_INFINITY);
});

test("a target that is not in the vocabulary is refused", () => {
  const [hidden, matrix] = inputs("float32");
  const wrong = tensor([3, 0, vocabulary, 3, 7, 1, 3], [rows], "int64");
  expect(() => tokenLogProbs(hidden, matrix, wrong)).toThrow(/target 11 is not in the vocabulary of 11/);
});

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
