import { expect, test } from "vitest";
import { tinyFamilies, tinyModel } from "../../models/testing/tiny-model.ts";
import { batchTokenLogProbs, packBundles } from "../../scoring/index.ts";
import { noGrad, scope, toNumbers } from "../../torch/index.ts";
import { batchTexts } from "../shared-texts.ts";
import { readEdges } from "./read-ratings.ts";

const draw = (length: number, seed: number) => Array.from({ length }, (_, t) => 5 + ((seed * 53 + t * 17) % 290));
// The first two start alike, the last two have nothing in common.
const prompts = [
  { index: 0, group: "a", ids: [...draw(12, 1), ...draw(3, 2)] },
  { index: 1, group: "a", ids: [...draw(12, 1), ...draw(5, 3)] },
  { index: 2, group: "b", ids: draw(9, 4) },
  { index: 3, group: "b", ids: draw(14, 5) },
];
// Ratings of one token, and one of two.
const tokens = {
  chains: [[], [7]],
  edges: [
    { chain: 0, depth: 0, token: 7 },
    { chain: 0, depth: 0, token: 8 },
    { chain: 1, depth: 1, token: 9 },
  ],
};

test.each(tinyFamilies)(
  "%s: what is read of a rating's tokens are their log-probs after the prompt",
  async (family) => {
    const { decoder } = await tinyModel(family);
    const logProbs = (prompt: readonly number[], response: readonly number[]) =>
      noGrad(() =>
        scope(() => toNumbers(batchTokenLogProbs(decoder, packBundles([{ prompt, responses: [response] }])))),
      );
    for (const budget of [60, 1000]) {
      const read = new Map(
        batchTexts(prompts, tokens.chains, budget).flatMap((batch) => [...readEdges(decoder, batch, tokens, "cpu")]),
      );
      for (const { index, ids } of prompts) {
        const wanted = [logProbs(ids, [7])[0]!, logProbs(ids, [8])[0]!, logProbs(ids, [7, 9])[1]!];
        for (const [edge, logProb] of read.get(index)!.entries()) expect(logProb).toBeCloseTo(wanted[edge]!, 4);
      }
    }
  },
);
