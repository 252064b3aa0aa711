import { describe, expect, test } from "vitest";
import { noGrad, scope, tensor, toNumbers } from "../torch/index.ts";
import { bundleAttention } from "./bundle-attention.ts";
import { type Decoder, hiddenStates, layerNames, nextLogits, parameterShapes } from "./decoder.ts";
import { decoderIn, tinyFamilies, tinyFigures, tinyModel } from "./testing/tiny-model.ts";

/** log p of each token of `response` after `prompt`, in one sequence. */
function logProbs(model: Decoder, prompt: readonly number[], response: readonly number[]): number[] {
  return noGrad(() =>
    scope(() => {
      const ids = [...prompt, ...response];
      const int64 = (values: readonly number[]) => tensor(values, [values.length], "int64");
      const spans = [{ start: 0, promptLength: ids.length, responseLengths: [] }];
      const attend = bundleAttention(model.config, spans);
      const hidden = hiddenStates(model, int64(ids), int64([...ids.keys()]), attend);
      const logits = nextLogits(model, hidden.narrow(0, prompt.length - 1, response.length));
      const chosen = int64(response).unsqueeze(-1);
      return toNumbers(logits.to("float64").log_softmax(-1).gather(-1, chosen).squeeze(-1));
    }),
  );
}

describe.each(tinyFamilies)("%s", (family) => {
  test("log-probs are those of transformers", async () => {
    const { decoder } = await tinyModel(family);
    for (const { prompt, responses } of tinyFigures(family).bundles)
      for (const { ids, logps } of responses)
        for (const [t, logp] of logProbs(decoder, prompt, ids).entries()) expect(logp).toBeCloseTo(logps[t]!, 4);
  });

  test("float64 and bfloat16 weights compute in their own type", async () => {
    const { decoder } = await tinyModel(family);
    const { prompt, responses } = tinyFigures(family).bundles[0]!;
    const { ids, logps } = responses[1]!;
    for (const [t, logp] of logProbs(decoderIn(decoder, "float64"), prompt, ids).entries())
      expect(logp).toBeCloseTo(logps[t]!, 4);
    const rounded = logProbs(decoderIn(decoder, "bfloat16"), prompt, ids);
    for (const [t, logp] of rounded.entries()) expect(Math.abs(logp - logps[t]!)).toBeLessThan(0.5);
  });

  test("the weights are those of the shapes, and each layer names its own", async () => {
    const { decoder } = await tinyModel(family);
    const shapes = parameterShapes(decoder.config);
    expect([...decoder.parameters].map(([name, weight]) => [name, weight.shape])).toEqual([...shapes]);
    const inLayers = decoder.config.layers.flatMap((_, index) => layerNames(decoder.config, index));
    expect([...shapes.keys()].filter((name) => name.includes(".layers."))).toEqual(inLayers);
  });
});

test("a sliding window changes what tokens beyond it see, and those only", async () => {
  const { decoder } = await tinyModel("gemma3");
  const wide = (window: number): Decoder => ({
    ...decoder,
    config: {
      ...decoder.config,
      layers: decoder.config.layers.map((layer) => (layer.window === null ? layer : { ...layer, window })),
    },
  });
  const { prompt, responses } = tinyFigures("gemma3").bundles[1]!;
  const sequence = [...prompt, ...responses[0]!.ids];
  const [own, other] = [wide(8), wide(9)].map((model) => logProbs(model, sequence.slice(0, 1), sequence.slice(1)));
  // The prediction of token t comes from position t - 1, which a window of 8 keeps from position 0 first at 8.
  for (let t = 0; t < 8; t++) expect(own![t]).toBeCloseTo(other![t]!, 6);
  expect(Math.max(...own!.slice(8).map((value, t) => Math.abs(value - other![t + 8]!)))).toBeGreaterThan(1e-3);
});
