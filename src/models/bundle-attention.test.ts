import { describe, expect, test } from "vitest";
import type { Tensor } from "../torch/index.ts";
import { backward, type DType, gradcheck, manualSeed, noGrad, ops, scope, tensor, toNumbers } from "../torch/index.ts";
import { type BundleSpan, bundleAttention, plainAttention } from "./bundle-attention.ts";
import type { DecoderConfig } from "./config.ts";

interface Case {
  readonly name: string;
  readonly heads: number;
  readonly groups: number;
  readonly window: number | null;
  readonly headDim?: number;
  /** Scores are soft-capped to this. */
  readonly cap?: number;
  /** Prompt length, then the responses' lengths. */
  readonly bundles: readonly (readonly [number, ...number[]])[];
}

const cases: readonly Case[] = [
  { name: "one head, one bundle", heads: 1, groups: 1, window: null, bundles: [[3, 2, 4]] },
  {
    name: "grouped queries, several bundles",
    heads: 4,
    groups: 2,
    window: null,
    bundles: [[4, 3, 1], [2], [1, 1, 2, 3]],
  },
  {
    name: "a window inside prompts and responses",
    heads: 2,
    groups: 1,
    window: 3,
    bundles: [
      [6, 5, 2],
      [2, 4],
    ],
  },
  { name: "a window of one", heads: 2, groups: 2, window: 1, bundles: [[3, 3]] },
  {
    name: "a window that hides some of some prompts only",
    heads: 2,
    groups: 1,
    window: 5,
    bundles: [
      [4, 3, 6],
      [2, 2],
    ],
  },
  { name: "soft-capped scores", heads: 4, groups: 2, window: null, cap: 0.7, bundles: [[4, 3, 1], [2], [1, 1, 2, 3]] },
  {
    name: "soft-capped scores under a window, and responses without a prompt",
    heads: 2,
    groups: 1,
    window: 3,
    cap: 0.4,
    bundles: [
      [6, 5, 2],
      [0, 4, 5],
    ],
  },
];
/** Too large for finite differences: prompts and responses of several blocks of keys and of queries. */
const large: readonly Case[] = [
  { name: "many blocks", heads: 6, groups: 2, window: null, headDim: 24, bundles: [[70, 130, 3], [1, 64, 65], [200]] },
  { name: "many blocks under a window", heads: 4, groups: 1, window: 90, headDim: 32, bundles: [[150, 210, 40], [64]] },
  { name: "one head a group", heads: 3, groups: 3, window: null, headDim: 16, bundles: [[97, 100]] },
];
const scale = 0.37;

const spansOf = ({ bundles }: Case): BundleSpan[] => {
  let start = 0;
  return bundles.map(([promptLength, ...responseLengths]) => {
    const span = { start, promptLength, responseLengths };
    start += promptLength + responseLengths.reduce((a, b) => a + b, 0);
    return span;
  });
};

function inputsOf(given: Case, dtype: DType): [Tensor, Tensor, Tensor] {
  const tokens = given.bundles.flat().reduce((a, b) => a + b, 0);
  return [given.heads, given.groups, given.groups].map((heads) => {
    const x = ops.randn([tokens, heads, given.headDim ?? 4], { dtype: "float64" }).to(dtype);
    x.requiresGrad = true;
    return x;
  }) as [Tensor, Tensor, Tensor];
}

const attention = (given: Case) => {
  const config = {
    heads: given.heads,
    keyValueHeads: given.groups,
    headDim: given.headDim ?? 4,
    attentionScale: scale,
    attentionSoftcap: given.cap ?? null,
    layers: [{ window: given.window }],
  } as unknown as DecoderConfig;
  const attend = bundleAttention(config, spansOf(given));
  return (q: Tensor, k: Tensor, v: Tensor) => attend(0, q, k, v);
};

/** Attention written out in plain numbers, query by query, from who sees whom. */
function byHand(given: Case, q: number[], k: number[], v: number[]): number[] {
  const headDim = given.headDim ?? 4;
  const out: number[] = [];
  const tokens: { owner: string; position: number; bundle: number }[] = [];
  for (const [bundle, [prompt, ...responses]] of given.bundles.entries()) {
    for (let t = 0; t < prompt; t++) tokens.push({ owner: "x", position: t, bundle });
    for (const [r, length] of responses.entries())
      for (let t = 0; t < length; t++) tokens.push({ owner: `y${r}`, position: prompt + t, bundle });
  }
  const sees = (a: (typeof tokens)[number], b: (typeof tokens)[number]) =>
    a.bundle === b.bundle &&
    (b.owner === "x" || b.owner === a.owner) &&
    b.position <= a.position &&
    (given.window === null || a.position - b.position < given.window);
  for (const [i, token] of tokens.entries())
    for (let head = 0; head < given.heads; head++) {
      const group = Math.floor((head * given.groups) / given.heads);
      const seen = [...tokens.keys()].filter((j) => sees(token, tokens[j]!));
      const at = (x: number[], row: number, heads: number, h: number, d: number) => x[(row * heads + h) * headDim + d]!;
      const weights = seen.map((j) => {
        let score = 0;
        for (let d = 0; d < headDim; d++) score += at(q, i, given.heads, head, d) * at(k, j, given.groups, group, d);
        const capped = given.cap === undefined ? score * scale : given.cap * Math.tanh((score * scale) / given.cap);
        return Math.exp(capped);
      });
      const total = weights.reduce((a, b) => a + b, 0);
      for (let d = 0; d < headDim; d++)
        out.push(seen.reduce((sum, j, n) => sum + (weights[n]! / total) * at(v, j, given.groups, group, d), 0));
    }
  return out;
}

describe.each(cases)("$name", (given) => {
  test("is attention written out", () => {
    manualSeed(5);
    const [q, k, v] = inputsOf(given, "float64");
    const got = toNumbers(noGrad(() => attention(given)(q, k, v)));
    const want = byHand(given, toNumbers(q), toNumbers(k), toNumbers(v));
    for (const [n, value] of got.entries()) expect(value).toBeCloseTo(want[n]!, 10);
  });

  test("its gradients are those of finite differences", () => {
    manualSeed(6);
    gradcheck((q, k, v) => attention(given)(q!, k!, v!), inputsOf(given, "float64"));
  });
});

describe.each([...cases.filter(({ cap }) => cap === undefined), ...large])("$name", (given) => {
  test("the composite operator gives the same, and the same gradients", () => {
    manualSeed(7);
    const inputs = inputsOf(given, "float64");
    const run = (compute: (q: Tensor, k: Tensor, v: Tensor) => Tensor) => {
      for (const input of inputs) input.grad = null;
      const out = compute(...inputs);
      backward(out.mul(ops.arange(out.elements).sin().view(out.shape)).sum());
      return [out, ...inputs.map((input) => input.grad!)].map(toNumbers);
    };
    const kernel = run(attention(given));
    const plain = run((q, k, v) => plainAttention(q, k, v, spansOf(given), given.window, scale));
    for (const [n, values] of kernel.entries())
      for (const [m, value] of values.entries()) expect(value).toBeCloseTo(plain[n]![m]!, 9);
  });
});

test("in bfloat16 it is near, with windows too", () => {
  manualSeed(8);
  for (const given of [...cases, ...large]) {
    const [q, k, v] = inputsOf(given, "bfloat16");
    const got = toNumbers(noGrad(() => attention(given)(q, k, v)));
    const want = byHand(given, toNumbers(q), toNumbers(k), toNumbers(v));
    for (const [n, value] of got.entries()) expect(Math.abs(value - want[n]!)).toBeLessThan(0.03);
  }
});

describe.each([
  { window: null, cap: null },
  { window: null, cap: 0.7 },
  { window: 300, cap: 0.7 },
])("long texts by libtorch's operators, in blocks: %j", ({ window, cap }) => {
  test("values and gradients are those of all scores at once", () => {
    manualSeed(12);
    const [heads, headDim, scale] = [2, 4, 0.8];
    const spans = [{ start: 0, promptLength: 1500, responseLengths: [40, 900] }];
    const tokens = 2440;
    const given = [heads, 1, 1].map((count) => noGrad(() => ops.randn([tokens, count, headDim], { dtype: "float64" })));
    /** Every token with every other of the batch, those of other responses hidden. */
    const whole = (q: Tensor, k: Tensor, v: Tensor) => {
      const part = Array.from({ length: tokens }, (_, t) => (t < 1500 ? 0 : t < 1540 ? 1 : 2));
      const place = part.map((p, t) => (p === 2 ? t - 40 : t));
      const row = (values: number[]) => noGrad(() => tensor(values, [tokens], "int64"));
      const [parts, places] = [row(part), row(place)];
      const distance = places.unsqueeze(1).sub(places.unsqueeze(0));
      const near = window === null ? distance.ge(0) : distance.ge(0).logical_and(distance.lt(window));
      const related = parts.unsqueeze(1).eq(parts.unsqueeze(0)).logical_or(parts.unsqueeze(0).eq(0));
      const scores = q
        .transpose(0, 1)
        .matmul(k.permute([1, 2, 0]))
        .mul(scale);
      const capped = cap === null ? scores : scores.div(cap).tanh().mul(cap);
      const hidden = near.logical_and(related).logical_not();
      const shares = capped.masked_fill(hidden, Number.NEGATIVE_INFINITY).softmax(-1);
      return shares.matmul(v.transpose(0, 1)).transpose(0, 1).flatten(1);
    };
    const run = (attend: typeof whole) => {
      const leaves = given.map((x) => {
        const leaf = x.clone();
        leaf.requiresGrad = true;
        return leaf;
      });
      // As in a layer: what attention is given is gone when the backward comes.
      const out = scope(() => {
        const [q, k, v] = leaves.map((leaf) => leaf.mul(1));
        return attend(q!, k!, v!);
      });
      backward(out.mul(out.detach().sin().add(1)).sum());
      return [out.detach(), ...leaves.map((leaf) => leaf.grad!)];
    };
    const got = run((q, k, v) => plainAttention(q, k, v, spans, window, scale, cap));
    for (const [k, wanted] of run(whole).entries()) expect(got[k]!.sub(wanted).abs().max().item()).toBeLessThan(1e-10);
  });
});
