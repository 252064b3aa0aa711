import { z } from "zod";
import { commonFromGguf, type Family } from "./family.ts";
import { gemmaDecoder, gemmaFields, gemmaGguf, type LayerType } from "./gemma.ts";

const schema = z.looseObject({
  ...gemmaFields,
  head_dim: z.int().positive().default(256),
  attn_logit_softcapping: z.number().positive().nullable().default(50),
  final_logit_softcapping: z.number().positive().nullable().default(30),
});

/** Layers of Gemma 2 27B, the one that doesn't scale by the size of its heads. */
const largestLayers = 46;

/** Gemma 2: windows in every other layer, norms before and after each block, attention scores and logits soft-capped. */
export const gemma2: Family = {
  modelTypes: ["gemma2"],
  architecture: "Gemma2ForCausalLM",
  parse(config) {
    const fields = schema.parse(config);
    const decoder = gemmaDecoder(fields);
    const alternating = (layer: number): LayerType => (layer % 2 === 0 ? "sliding_attention" : "full_attention");
    const slides = (layer: number) => (fields.layer_types?.[layer] ?? alternating(layer)) === "sliding_attention";
    return {
      ...decoder,
      layers: decoder.layers.map((kind, layer) => (slides(layer) ? { ...kind, window: fields.sliding_window } : kind)),
    };
  },
  gguf: {
    architecture: "gemma2",
    config(facts) {
      const common = commonFromGguf(facts);
      const scaledByWidth = common.num_hidden_layers === largestLayers;
      return {
        model_type: "gemma2",
        hidden_activation: "gelu_pytorch_tanh",
        ...common,
        // GGUF has no key for it: whoever reads such a file knows the 27B model by its layers.
        query_pre_attn_scalar: scaledByWidth ? common.hidden_size / common.num_attention_heads : common.head_dim,
        sliding_window: facts.optionalNumber("attention.sliding_window") ?? 4096,
        attn_logit_softcapping: facts.optionalNumber("attn_logit_softcapping") ?? 50,
        final_logit_softcapping: facts.optionalNumber("final_logit_softcapping") ?? 30,
      };
    },
    ...gemmaGguf,
  },
};
