import { z } from "zod";
import { commonFields, type Family, plainDecoder } from "./family.ts";

const schema = z.looseObject({
  ...commonFields,
  hidden_act: z.literal("silu").default("silu"),
  /** Mistral 7B v0.1 has a window, what came after it has none. */
  sliding_window: z.int().positive().nullable().default(4096),
  tie_word_embeddings: z.boolean().default(false),
});

/** Mistral: Llama's layout, with one sliding window for all layers where there is one. Its GGUF files call themselves Llama. */
export const mistral: Family = {
  modelTypes: ["mistral"],
  architecture: "MistralForCausalLM",
  parse(config) {
    const fields = schema.parse(config);
    const plain = plainDecoder(fields);
    return {
      ...plain,
      layers: plain.layers.map((layer) => ({ ...layer, window: fields.sliding_window })),
      tied: fields.tie_word_embeddings,
    };
  },
};
