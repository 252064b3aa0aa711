import { z } from "zod";
import { commonFields, commonFromGguf, type Family, plainDecoder } from "./family.ts";

const schema = z.looseObject({
  ...commonFields,
  hidden_act: z.literal("silu").default("silu"),
  use_sliding_window: z.literal(false, "sliding windows of Qwen2 are not known here").default(false),
  tie_word_embeddings: z.boolean().default(false),
});

/** Qwen2 and Qwen2.5: Llama's layout with biases on queries, keys and values. */
export const qwen2: Family = {
  modelTypes: ["qwen2"],
  architecture: "Qwen2ForCausalLM",
  parse(config) {
    const fields = schema.parse(config);
    return { ...plainDecoder(fields), queryKeyValueBias: true, tied: fields.tie_word_embeddings };
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
