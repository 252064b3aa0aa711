import { z } from "zod";
import type { LayerKind } from "../config.ts";
import { commonFields, commonFromGguf, type Family, plainDecoder, readRope } from "./family.ts";

const ropeSchema = z.looseObject({
  rope_theta: z.number().positive(),
  rope_type: z.string().optional(),
  factor: z.number().optional(),
});

const schema = z.looseObject({
  ...commonFields,
  hidden_activation: z.literal("gelu_pytorch_tanh").default("gelu_pytorch_tanh"),
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: z.int().positive().default(4096),
  layer_types: z.array(z.enum(["sliding_attention", "full_attention"])).optional(),
  sliding_window_pattern: z.int().positive().optional(),
  _sliding_window_pattern: z.int().positive().optional(),
  rope_local_base_freq: z.number().positive().default(10_000),
  rope_parameters: z.strictObject({ sliding_attention: ropeSchema, full_attention: ropeSchema }).nullish(),
  attn_logit_softcapping: z.null("soft-capping is not known here").default(null),
  final_logit_softcapping: z.null("soft-capping is not known here").default(null),
  use_bidirectional_attention: z.literal(false).default(false),
  tie_word_embeddings: z.boolean().default(true),
});

function layerTypes(fields: z.infer<typeof schema>): readonly ("sliding_attention" | "full_attention")[] {
  if (fields.layer_types) return fields.layer_types;
  const every = fields.sliding_window_pattern ?? fields._sliding_window_pattern ?? 6;
  return Array.from({ length: fields.num_hidden_layers }, (_, i) =>
    (i + 1) % every === 0 ? "full_attention" : "sliding_attention",
  );
}

/** Gemma 3, text only: five layers with a sliding window to each full one, norms before and after each block. */
export const gemma3: Family = {
  modelTypes: ["gemma3_text"],
  ggufArchitecture: "gemma3",
  architecture: "Gemma3ForCausalLM",
  parse(config) {
    const fields = schema.parse(config);
    const { sliding_attention: local, full_attention: global } = fields.rope_parameters ?? {};
    const kinds: Record<string, LayerKind> = {
      sliding_attention: {
        rope: readRope(local?.rope_theta ?? fields.rope_local_base_freq, local),
        window: fields.sliding_window,
      },
      full_attention: {
        rope: readRope(global?.rope_theta ?? fields.rope_theta ?? 1_000_000, global ?? fields.rope_scaling),
        window: null,
      },
    };
    return {
      ...plainDecoder({ ...fields, rope_parameters: null }),
      layers: layerTypes(fields).map((type) => kinds[type]!),
      activation: "gelu_tanh",
      normOffset: 1,
      embeddingScale: Math.sqrt(fields.hidden_size),
      attentionScale: fields.query_pre_attn_scalar ** -0.5,
      queryKeyNorm: true,
      sandwichNorms: true,
      tied: fields.tie_word_embeddings,
    };
  },
  configFromGguf(facts) {
    const common = commonFromGguf(facts);
    return {
      model_type: "gemma3_text",
      hidden_activation: "gelu_pytorch_tanh",
      ...common,
      query_pre_attn_scalar: common.head_dim,
      sliding_window: facts.number("attention.sliding_window"),
      sliding_window_pattern: 6,
      layer_types: layerTypes(schema.parse({ ...common, sliding_window_pattern: 6 })),
      rope_local_base_freq: 10_000,
    };
  },
  ggufNames: {
    "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
  },
  fromGguf: (name, weight) => (name.endsWith("norm.weight") ? weight.sub(1) : weight),
};
