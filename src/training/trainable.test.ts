import { expect, test } from "vitest";
import { tinyModel } from "../models/testing/tiny-model.ts";
import { tinyRecipe } from "./testing/tiny-rows.ts";
import { trainedNames, weightRule } from "./trainable.ts";

test.each(["qwen2", "gemma3", "phi3"] as const)("biases and norms of %s have no decay", async (family) => {
  const { decoder } = await tinyModel(family);
  const rule = weightRule(tinyRecipe({ weight_decay: 0.3 }), decoder.config.layers.length);
  const decayed = [...decoder.parameters].filter(([name, weight]) => rule(name, weight).weightDecay === 0.3);
  // Trainer of transformers leaves out biases and the weights of norms.
  const expected = [...decoder.parameters.keys()].filter((name) => !/norm\.weight$|\.bias$/.test(name));
  expect(decayed.map(([name]) => name)).toEqual(expected);
  expect(decayed.length).toBeLessThan(decoder.parameters.size);
});

test("the first rule that matches decides, for biases and norms too", async () => {
  const { decoder } = await tinyModel("qwen2");
  const recipe = tinyRecipe({
    weight_decay: 0.3,
    weight_decay_rules: [
      { match: "embed_tokens", weight_decay: 0 },
      { match: "q_proj.bias", weight_decay: 0.1 },
      { match: "layers.0", weight_decay: 0.2 },
    ],
  });
  const rule = weightRule(recipe, 2);
  const decay = (name: string) => rule(name, decoder.parameters.get(name)!).weightDecay;
  expect(trainedNames(recipe, decoder.parameters.keys())).toEqual([...decoder.parameters.keys()]);
  expect(decay("model.embed_tokens.weight")).toBe(0);
  expect(decay("model.layers.0.self_attn.q_proj.bias")).toBe(0.1);
  expect(decay("model.layers.0.self_attn.k_proj.bias")).toBe(0.2);
  expect(decay("model.layers.0.input_layernorm.weight")).toBe(0.2);
  expect(decay("model.layers.1.input_layernorm.weight")).toBe(0);
  expect(decay("model.layers.1.mlp.up_proj.weight")).toBe(0.3);
});
