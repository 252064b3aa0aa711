import { z } from "zod";
import { commonFields, commonFromGguf, type Family, plainDecoder } from "./family.ts";
import { uninterleaved } from "./llama.ts";
import { refusal } from "./rotation.ts";

const schema = z.looseObject({
  ...commonFields,
  hidden_act: z.literal("silu").default("silu"),
  rope_theta: z.number().positive().default(2_000_000),
  /** 1 for each layer that turns its queries and keys, 0 for one that doesn't. */
  no_rope_layers: z.array(z.int().min(0).max(1)).nullish(),
  no_rope_layer_interval: z.int().positive().default(4),
  attention_bias: z.literal(false).default(false),
  mlp_bias: z.literal(false).default(false),
  use_sliding_window: z.literal(false, "sliding windows of SmolLM3 are not known here").default(false),
  tie_word_embeddings: z.boolean().default(true),
});

/** SmolLM3: Llama's layout, some layers of which (every fourth) don't turn queries and keys. */
export const smollm3: Family = {
  modelTypes: ["smollm3"],
  architecture: "SmolLM3ForCausalLM",
  parse(config) {
    const fields = schema.parse(config);
    const { no_rope_layers: listed, no_rope_layer_interval: every, num_hidden_layers: count } = fields;
    if (listed && listed.length < count)
      throw refusal("no_rope_layers", listed, `names ${listed.length} of ${count} layers`);
    const turns = (layer: number) => (listed ? listed[layer] === 1 : (layer + 1) % every !== 0);
    const plain = plainDecoder(fields);
    return {
      ...plain,
      layers: plain.layers.map((layer, index) => (turns(index) ? layer : { ...layer, rope: null })),
      tied: fields.tie_word_embeddings,
    };
  },
  gguf: {
    architecture: "smollm3",
    config: (facts) => ({
      model_type: "smollm3",
      hidden_act: "silu",
      attention_bias: false,
      mlp_bias: false,
      use_sliding_window: false,
      // GGUF has no key for it: whoever reads such a file takes every fourth layer.
      no_rope_layer_interval: 4,
      ...commonFromGguf(facts),
    }),
    restore: uninterleaved,
  },
};
