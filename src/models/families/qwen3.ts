import { z } from "zod";
import { commonFields, commonFromGguf, type Family, plainDecoder } from "./family.ts";
import { windowFields, withWindows } from "./qwen-windows.ts";

const schema = z.looseObject({
  ...commonFields,
  head_dim: z.int().positive().default(128),
  hidden_act: z.literal("silu").default("silu"),
  attention_bias: z.literal(false).default(false),
  ...windowFields,
  tie_word_embeddings: z.boolean().default(false),
});

/** Qwen3, the dense ones: Llama's layout with a norm on every head's queries and keys. */
export const qwen3: Family = {
  modelTypes: ["qwen3"],
  architecture: "Qwen3ForCausalLM",
  parse(config) {
    const fields = schema.parse(config);
    const plain = plainDecoder(fields);
    return {
      ...plain,
      layers: withWindows(plain.layers, fields),
      queryKeyNorm: "head",
      tied: fields.tie_word_embeddings,
    };
  },
  gguf: {
    architecture: "qwen3",
    config: (facts) => ({
      model_type: "qwen3",
      hidden_act: "silu",
      attention_bias: false,
      use_sliding_window: false,
      ...commonFromGguf(facts),
    }),
  },
};
