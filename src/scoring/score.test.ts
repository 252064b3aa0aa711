import { describe, expect, test } from "vitest";
import type { Decoder, ForwardOptions } from "../models/index.ts";
import { decoderIn, tinyFamilies, tinyFigures, tinyModel } from "../models/testing/tiny-model.ts";
import { checkpointed } from "../nn/index.ts";
import { backward, noGrad, scope, toNumbers } from "../torch/index.ts";
import { type Bundle, bundleTokens, microBatches, packBundles } from "./bundle.ts";
import { batchFigures, batchLogProbs, batchTokenLogProbs } from "./score.ts";

const sums = (model: Decoder, bundles: readonly Bundle[], options: ForwardOptions = {}): number[] =>
  noGrad(() => scope(() => toNumbers(batchLogProbs(model, packBundles(bundles), options))));

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Gradients of minus the mean log-prob of all response tokens, by weight; micro-batches add up. */
function gradients(
  model: Decoder,
  bundles: readonly Bundle[],
  options: ForwardOptions = {},
  budget = Number.POSITIVE_INFINITY,
): Map<string, number[]> {
  const total = sum(bundles.flatMap(({ responses }) => responses.map((y) => y.length)));
  for (const weight of model.parameters.values()) {
    weight.requiresGrad = true;
    weight.grad = null;
  }
  for (const batch of microBatches(bundles, bundleTokens, budget))
    scope(() => backward(batchTokenLogProbs(model, packBundles(batch), options).sum().div(-total)));
  return new Map([...model.parameters].map(([name, weight]) => [name, toNumbers(weight.grad!)]));
}

const norm = (values: readonly number[]): number => Math.sqrt(sum(values.map((value) => value ** 2)));

/** Every weight's gradient deviates by at most this share of its norm. */
function expectNear(got: ReadonlyMap<string, number[]>, want: ReadonlyMap<string, number[]>, share: number): void {
  for (const [name, values] of want) {
    const deviation = norm(values.map((value, k) => value - got.get(name)![k]!));
    expect(deviation / norm(values), name).toBeLessThan(share);
  }
}

describe.each(tinyFamilies)("%s", (family) => {
  const { bundles: figures, gradients: wanted } = tinyFigures(family);
  const bundles = figures.map(({ prompt, responses }) => ({ prompt, responses: responses.map(({ ids }) => ids) }));
  const want = figures.flatMap(({ responses }) => responses.map(({ logps }) => sum(logps)));

  test("log-probs of bundles are those of transformers for each response alone", async () => {
    const { decoder } = await tinyModel(family);
    for (const [k, logp] of sums(decoder, bundles).entries()) expect(Math.abs(logp - want[k]!)).toBeLessThan(1e-3);
    const perToken = noGrad(() => toNumbers(batchTokenLogProbs(decoder, packBundles(bundles))));
    const each = figures.flatMap(({ responses }) => responses.flatMap(({ logps }) => logps));
    for (const [k, logp] of perToken.entries()) expect(logp).toBeCloseTo(each[k]!, 4);
  });

  test("the log-probs of heads are those of the responses' first tokens; alignments are means over the tokens", async () => {
    const { decoder } = await tinyModel(family);
    const batch = packBundles(bundles);
    const heads = bundles.flatMap(({ responses }) => responses.map((y, r) => Math.min(y.length, 2 + r)));
    const got = noGrad(() => batchFigures(decoder, batch, { heads, alignments: true }));
    const each = figures.flatMap(({ responses }) => responses.map(({ logps }) => logps));
    for (const [k, logp] of toNumbers(got.heads!).entries())
      expect(Math.abs(logp - sum(each[k]!.slice(0, heads[k]!)))).toBeLessThan(1e-3);
    expect(toNumbers(got.logProbs)).toEqual(sums(decoder, bundles));
    const alone = bundles.flatMap(({ prompt, responses }) => responses.map((y) => ({ prompt, responses: [y] })));
    const single = alone.flatMap((bundle) =>
      toNumbers(noGrad(() => batchFigures(decoder, packBundles([bundle]), { alignments: true }).alignments!)),
    );
    for (const [k, value] of toNumbers(got.alignments!).entries()) expect(value).toBeCloseTo(single[k]!, 4);
  });

  test("a bundle gives what each response alone gives, in any order and company", async () => {
    const { decoder } = await tinyModel(family);
    const alone = bundles.flatMap(({ prompt, responses }) =>
      responses.flatMap((response) => sums(decoder, [{ prompt, responses: [response] }])),
    );
    const together = sums(decoder, bundles);
    const backwards = sums(
      decoder,
      [...bundles].reverse().map(({ prompt, responses }) => ({ prompt, responses: [...responses].reverse() })),
    ).reverse();
    const oneByOne = bundles.flatMap((bundle) => sums(decoder, [bundle]));
    for (const [k, logp] of alone.entries())
      for (const other of [together, backwards, oneByOne]) expect(Math.abs(other[k]! - logp)).toBeLessThan(1e-4);
  });

  test("gradients by every weight are those of torch", async () => {
    const { decoder } = await tinyModel(family);
    const got = gradients(decoder, bundles);
    expect([...got.keys()].sort()).toEqual(Object.keys(wanted).sort());
    for (const [name, { norm: length, places, values }] of Object.entries(wanted)) {
      expect(Math.abs(norm(got.get(name)!) / length - 1), name).toBeLessThan(1e-4);
      for (const [k, place] of places.entries())
        expect(Math.abs(got.get(name)![place]! - values[k]!), name).toBeLessThan(1e-4 * length);
    }
  });

  test("gradients are the same in micro-batches and with activation checkpointing", async () => {
    const { decoder } = await tinyModel(family);
    const whole = gradients(decoder, bundles);
    expectNear(gradients(decoder, bundles, {}, 60), whole, 1e-5);
    expectNear(gradients(decoder, bundles, {}, 1), whole, 1e-5);
    expectNear(gradients(decoder, bundles, { wrapLayer: checkpointed }), whole, 1e-6);
  });

  test("computed in bfloat16 over float32 weights they are near, and the gradients float32", async () => {
    const { decoder } = await tinyModel(family);
    const exact = gradients(decoder, bundles);
    const rounded = gradients(decoder, bundles, { dtype: "bfloat16" });
    for (const weight of decoder.parameters.values()) expect(weight.grad!.dtype).toBe("float32");
    // Rounding sends some tokens to other experts.
    expectNear(rounded, exact, family === "mixtral" ? 0.25 : 0.15);
    for (const [k, logp] of sums(decoder, bundles, { dtype: "bfloat16" }).entries())
      expect(Math.abs(logp / want[k]! - 1)).toBeLessThan(0.03);
    const checked = gradients(decoder, bundles, { dtype: "bfloat16", wrapLayer: checkpointed });
    expectNear(checked, rounded, 1e-6);
  });

  test("in float64 the gradient along a direction is the difference of the loss", async () => {
    const decoder = decoderIn((await tinyModel(family)).decoder, "float64");
    const got = gradients(decoder, bundles);
    const tokens = sum(bundles.flatMap(({ responses }) => responses.map((y) => y.length)));
    const loss = () => -sum(sums(decoder, bundles)) / tokens;
    for (const [name, weight] of decoder.parameters) {
      weight.requiresGrad = false;
      const direction = weight.grad!.div(weight.grad!.norm());
      const epsilon = 1e-4;
      weight.add_(direction, { alpha: epsilon });
      const up = loss();
      weight.sub_(direction, { alpha: 2 * epsilon });
      const down = loss();
      weight.add_(direction, { alpha: epsilon });
      expect((up - down) / (2 * epsilon) / norm(got.get(name)!), name).toBeCloseTo(1, 4);
    }
  });
});
