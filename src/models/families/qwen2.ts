import { z } from "zod";
import { commonFields, commonFromGguf, type Family, plainDecoder } from "./family.ts";
import { windowFields, withWindows } from "./qwen-windows.ts";

const schema = z.looseObject({
  ...commonFields,
  hidden_act: z.literal("silu").default("silu"),
  ...windowFields,
  tie_word_embeddings: z.boolean().default(false),
});

/** Qwen2 and Qwen2.5: Llama's layout with biases on queries, keys and values. */
export const qwen2: Family = {
  modelTypes: ["qwen2"],
  architecture: "Qwen2ForCausalLM",
  parse(config) {
    const fields = schema.parse(config);
    const plain = plainDecoder(fields);
    return {
      ...plain,
      layers: withWindows(plain.layers, fields),
      queryKeyValueBias: true,
      tied: fields.tie_word_embeddings,
    };
  },
  gguf: {
    architecture: "qwen2",
    config: (facts) => ({
      model_type: "qwen2",
      hidden_act: "silu",
      use_sliding_window: false,
      ...commonFromGguf(facts),
    }),
  },
};
