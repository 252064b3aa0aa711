import { z } from "zod";
import type { DecoderConfig } from "../config.ts";
import { commonFields, type GgufForm, plainDecoder } from "./family.ts";

const layerType = z.enum(["sliding_attention", "full_attention"]);
export type LayerType = z.infer<typeof layerType>;

/** Fields that Gemma 2 and 3 share. */
export const gemmaFields = {
  ...commonFields,
  hidden_activation: z.literal("gelu_pytorch_tanh").default("gelu_pytorch_tanh"),
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: z.int().positive().default(4096),
  layer_types: z.array(layerType).nullish(),
  attention_bias: z.literal(false).default(false),
  attn_logit_softcapping: z.number().positive().nullish(),
  final_logit_softcapping: z.number().positive().nullish(),
  use_bidirectional_attention: z.literal(false).nullish(),
  tie_word_embeddings: z.boolean().default(true),
};
const gemmaSchema = z.looseObject(gemmaFields);

/** What Gemma 2 and 3 have in common, all but the kinds of their layers. */
export function gemmaDecoder(fields: z.infer<typeof gemmaSchema>): DecoderConfig {
  return {
    ...plainDecoder(fields),
    activation: "gelu_tanh",
    normOffset: 1,
    norms: "sandwich",
    embeddingScale: Math.sqrt(fields.hidden_size),
    attentionScale: fields.query_pre_attn_scalar ** -0.5,
    attentionSoftcap: fields.attn_logit_softcapping ?? null,
    logitSoftcap: fields.final_logit_softcapping ?? null,
    tied: fields.tie_word_embeddings,
  };
}

/** Names and norms of Gemma's GGUF files; their norm weights are whole, Hugging Face's are stored less one. */
export const gemmaGguf: Pick<GgufForm, "names" | "restore"> = {
  names: {
    "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
  },
  restore: (name, weight) => (name.endsWith("norm.weight") ? weight.sub(1) : weight),
};
