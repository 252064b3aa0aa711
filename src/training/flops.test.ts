import { expect, test } from "vitest";
import { layerNames, parameterShapes } from "../models/index.ts";
import { type TinyFamily, tinyFamilies, tinyModel } from "../models/testing/tiny-model.ts";
import type { Bundle } from "../scoring/index.ts";
import { flopCounter } from "./flops.ts";

const ids = (count: number) => Array.from({ length: count }, (_, k) => k);
const bundles: Bundle[] = [
  { prompt: ids(11), responses: [ids(5), ids(1), ids(30)] },
  { prompt: ids(3), responses: [ids(2)] },
];

/** Query and key pairs, counted one by one over each text as it stands, the prompt's own once. */
function countedPairs({ prompt, responses }: Bundle, window: number | null): number {
  let pairs = 0;
  const text = (from: number, length: number) => {
    for (let query = from; query < length; query++)
      for (let key = 0; key <= query; key++) if (window === null || query - key < window) pairs += 1;
  };
  text(0, prompt.length);
  for (const y of responses) text(prompt.length, prompt.length + y.length);
  return pairs;
}

test.each(tinyFamilies)("%s: 6 for each matrix weight and token, 12 for each pair and dimension", async (family) => {
  const { config } = (await tinyModel(family)).decoder;
  const shapes = parameterShapes(config);
  const share = (name: string) => (/\.experts\./.test(name) ? config.experts!.perToken / config.experts!.count : 1);
  const matrices = config.layers
    .flatMap((_, index) => layerNames(config, index))
    .filter((name) => shapes.get(name)!.length === 2)
    .reduce((sum, name) => sum + share(name) * shapes.get(name)!.reduce((a, b) => a * b), 0);
  const [tokens, scored] = [52, 38];
  const flops = flopCounter(config)(bundles);
  expect([flops.tokens, flops.scored]).toEqual([tokens, scored]);
  expect(flops.layers).toBe(6 * matrices * tokens);
  expect(flops.head).toBe(6 * config.vocabularySize * config.hiddenSize * scored);
  const pairs = config.layers.flatMap(({ window }) => bundles.map((bundle) => countedPairs(bundle, window)));
  expect(flops.attention).toBe(12 * config.heads * config.headDim * pairs.reduce((a, b) => a + b));
  expect(flops.needed).toBe(flops.layers + flops.attention + flops.head);
});

test("of frozen weights no gradient is computed, nor any that only they would need", async () => {
  const { config, parameters } = (await tinyModel("llama")).decoder;
  const [tokens, scored, last] = [52, 38, config.layers.length - 1];
  const all = [...parameters.keys()];
  const { hiddenSize: h, vocabularySize, intermediateSize } = config;
  const of = (keep: (name: string) => boolean, adapters = false) =>
    flopCounter(config, { names: all.filter(keep), adapters })(bundles);
  const whole = flopCounter(config)(bundles);
  expect(of(() => true)).toEqual(whole);
  // Only the last layer's down projection: forwards of all, its own gradient, and one through the output to it.
  const down = of((name) => name === `model.layers.${last}.mlp.down_proj.weight`);
  expect(down.layers).toBe(whole.layers / 3 + 2 * h * intermediateSize * tokens);
  expect(down.attention).toBe(whole.attention / 3);
  expect(down.head).toBe(4 * h * vocabularySize * scored);
  // Without the embeddings the first projections' inputs need no gradient, but for the norm before them.
  const norms = of((name) => name.includes("layernorm"));
  expect(norms.layers).toBe((whole.layers * 2) / 3);
  expect(norms.attention).toBe(whole.attention);
  const queries = of((name) => /layers\.0\.self_attn\.q_proj/.test(name));
  const shapes = parameterShapes(config);
  const sizeOf = (part: string) => shapes.get(`model.layers.0.self_attn.${part}_proj.weight`)!.reduce((a, b) => a * b);
  const inputs = sizeOf("q") + sizeOf("k") + sizeOf("v");
  expect(queries.layers).toBe((whole.layers * 2) / 3 + (2 * sizeOf("q") - 2 * inputs) * tokens);
  // Under adapters no weight has a gradient.
  const adapted = [0, 1].flatMap((k) =>
    ["A", "B"].map((side) => `model.layers.${k}.self_attn.q_proj.lora_${side}.weight`),
  );
  expect(flopCounter(config, { names: adapted, adapters: true })(bundles).layers).toBe(
    (whole.layers * 2) / 3 - 2 * inputs * tokens,
  );
});

test("a window narrower than the text is among the families", async () => {
  const windows = await Promise.all(
    (["gemma2", "gemma3", "mistral"] satisfies TinyFamily[]).map(async (family) =>
      (await tinyModel(family)).decoder.config.layers.map(({ window }) => window),
    ),
  );
  expect(Math.min(...windows.flat().filter((window) => window !== null))).toBeLessThan(41);
});
