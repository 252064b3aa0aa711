import { describe, expect, test } from "vitest";
import type { Decoder, WrapLayer } from "../models/index.ts";
import { tinyFigures, tinyModel } from "../models/testing/tiny-model.ts";
import { noGrad, scope, toNumbers } from "../torch/index.ts";
import { packBundles } from "./bundle.ts";
import { type Continuation, continuationLogProbs } from "./continuations.ts";
import { batchLogProbs } from "./score.ts";

/** Each continuation by itself, laid out as a bundle of its own. */
const alone = (model: Decoder, { ids, scored }: Continuation): number => {
  const split = ids.length - scored;
  const packed = packBundles([{ prompt: ids.slice(0, split), responses: [ids.slice(split)] }]);
  return noGrad(() => scope(() => toNumbers(batchLogProbs(model, packed))[0]!));
};

async function together(model: Decoder, sets: readonly (readonly Continuation[])[], budget: number) {
  const found: (readonly number[])[] = [];
  for await (const { set, logProbs } of continuationLogProbs(model, sets, budget)) {
    expect(found[set]).toBeUndefined();
    found[set] = logProbs;
  }
  return found;
}

const words = (start: number, length: number) => Array.from({ length }, (_, k) => 40 + ((start * 7 + k * 13) % 200));

describe.each(["llama", "gemma2", "mistral"] as const)("%s", (family) => {
  const header = words(1, 20);
  const sets: readonly (readonly Continuation[])[] = [
    // Choices of several tokens after one context.
    [3, 4, 5].map((k) => ({ ids: [...header, ...words(k, 6), ...words(k + 9, k)], scored: k })),
    // Letters after one context: one row tells all of them. The next question has the same examples.
    [60, 61, 62].map((letter) => ({ ids: [...header, ...words(11, 9), letter], scored: 1 })),
    [60, 61, 62].map((letter) => ({ ids: [...header, ...words(12, 4), letter], scored: 1 })),
    // The same end after contexts that differ early.
    [7, 8].map((k) => ({ ids: [...words(21, 5), k + 50, ...words(22, 4)], scored: 4 })),
    // Nothing in common; one that is another's beginning; the same twice.
    [
      { ids: [50, 51], scored: 1 },
      { ids: [70, 71, 72], scored: 2 },
    ],
    [
      { ids: [50, 51, 52], scored: 1 },
      { ids: [50, 51, 52, 53], scored: 1 },
      { ids: [50, 51, 52], scored: 2 },
    ],
    [
      { ids: words(31, 12), scored: 5 },
      { ids: words(31, 12), scored: 5 },
    ],
    [],
  ];

  test.each([7, 40, 4096])("shared beginnings change nothing, %i tokens at a time", async (budget) => {
    const { decoder } = await tinyModel(family);
    const found = await together(decoder, sets, budget);
    for (const [at, set] of sets.entries()) {
      expect(found[at]).toHaveLength(set.length);
      for (const [k, continuation] of set.entries())
        expect(Math.abs(found[at]![k]! - alone(decoder, continuation)), `set ${at}, ${k}`).toBeLessThan(2e-4);
    }
  });
});

test("log-likelihoods are those of transformers", async () => {
  const { decoder } = await tinyModel("llama");
  const { bundles } = tinyFigures("llama");
  const sets = bundles.map(({ prompt, responses }) =>
    responses.map(({ ids }) => ({ ids: [...prompt, ...ids], scored: ids.length })),
  );
  const found = await together(decoder, sets, 64);
  for (const [at, { responses }] of bundles.entries())
    for (const [k, { logps }] of responses.entries())
      expect(Math.abs(found[at]![k]! - logps.reduce((a, b) => a + b, 0))).toBeLessThan(1e-3);
});

test.each([8, 100])(
  "a context is computed once for its choices, examples once for their questions: budget %i",
  async (budget) => {
    const { decoder } = await tinyModel("llama");
    const [context, examples] = [words(1, 30), words(2, 40)];
    const choices = [3, 4, 5, 6].map((k) => ({ ids: [...context, ...words(k, 4)], scored: 4 }));
    const questions = [7, 8, 9].map((k) =>
      [60, 61].map((letter) => ({ ids: [...examples, ...words(k, 5), letter], scored: 1 })),
    );
    const computed = { tokens: 0 };
    const wrapLayer: WrapLayer = (body, x, _, layer) => {
      if (layer === 0) computed.tokens += x.shape[0]!;
      return scope(() => body(x));
    };
    for await (const _ of continuationLogProbs(decoder, [choices, ...questions], budget, { wrapLayer }));
    // The last token of a continuation predicts nothing, and questions that end alike after their own words share these.
    expect(computed.tokens).toBe(30 + 4 * 3 + 40 + 3 * 5);
  },
);

test("what can't be scored is refused", async () => {
  const { decoder } = await tinyModel("llama");
  await expect(together(decoder, [[{ ids: [50], scored: 1 }]], 64)).rejects.toThrow(RangeError);
  await expect(together(decoder, [[{ ids: [50, 51], scored: 0 }]], 64)).rejects.toThrow(RangeError);
});
