import { z } from "zod";
import { commonFields, commonFromGguf, type Family, plainDecoder } from "./family.ts";

const schema = z.looseObject({
  ...commonFields,
  rms_norm_eps: z.number().positive().default(1e-5),
  hidden_act: z.literal("silu").default("silu"),
  attention_bias: z.literal(false).default(false),
  tie_word_embeddings: z.boolean().default(false),
});

/** OLMo 2: norms after attention and MLP instead of before them, and over all heads' queries and keys. */
export const olmo2: Family = {
  modelTypes: ["olmo2"],
  architecture: "Olmo2ForCausalLM",
  parse(config) {
    const fields = schema.parse(config);
    return { ...plainDecoder(fields), norms: "post", queryKeyNorm: "whole", tied: fields.tie_word_embeddings };
  },
  gguf: {
    architecture: "olmo2",
    config(facts) {
      // OLMo 3 calls itself OLMo 2 in GGUF.
      if ((facts.optionalNumber("attention.sliding_window") ?? 0) > 0)
        throw facts.refuse("attention.sliding_window", "OLMo 3 is not known here, only OLMo 2, which has no windows");
      return { model_type: "olmo2", hidden_act: "silu", attention_bias: false, ...commonFromGguf(facts) };
    },
    names: {
      "post_attention_norm.weight": "post_attention_layernorm.weight",
      "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
    },
  },
};
