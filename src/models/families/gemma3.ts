import { z } from "zod";
import type { LayerKind } from "../config.ts";
import { commonFromGguf, type Family } from "./family.ts";
import { gemmaDecoder, gemmaFields, gemmaGguf, type LayerType } from "./gemma.ts";
import { readRope } from "./rotation.ts";

const ropeSchema = z.looseObject({
  rope_theta: z.number().positive(),
  rope_type: z.string().optional(),
  factor: z.number().optional(),
});

const schema = z.looseObject({
  ...gemmaFields,
  sliding_window_pattern: z.int().positive().optional(),
  _sliding_window_pattern: z.int().positive().optional(),
  rope_local_base_freq: z.number().positive().default(10_000),
  rope_parameters: z.strictObject({ sliding_attention: ropeSchema, full_attention: ropeSchema }).nullish(),
});

function layerTypes(fields: z.infer<typeof schema>): readonly LayerType[] {
  if (fields.layer_types) return fields.layer_types;
  const every = fields.sliding_window_pattern ?? fields._sliding_window_pattern ?? 6;
  return Array.from({ length: fields.num_hidden_layers }, (_, i) =>
    (i + 1) % every === 0 ? "full_attention" : "sliding_attention",
  );
}

/** Gemma 3, text only: five layers with a sliding window to each full one, norms before and after each block. */
export const gemma3: Family = {
  modelTypes: ["gemma3_text"],
  architecture: "Gemma3ForCausalLM",
  parse(config) {
    const fields = schema.parse(config);
    const { sliding_attention: local, full_attention: global } = fields.rope_parameters ?? {};
    const decoder = gemmaDecoder({ ...fields, rope_parameters: null, rope_scaling: null });
    const { rotaryDim, maxPositions } = decoder;
    const kinds: Record<LayerType, LayerKind> = {
      sliding_attention: {
        rope: readRope(local?.rope_theta ?? fields.rope_local_base_freq, local, { rotaryDim, maxPositions }),
        window: fields.sliding_window,
      },
      full_attention: {
        rope: readRope(global?.rope_theta ?? fields.rope_theta ?? 1_000_000, global ?? fields.rope_scaling, {
          rotaryDim,
          maxPositions,
        }),
        window: null,
      },
    };
    return {
      ...decoder,
      layers: layerTypes(fields).map((type) => kinds[type]),
      queryKeyNorm: "head",
    };
  },
  gguf: {
    architecture: "gemma3",
    config(facts) {
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
    ...gemmaGguf,
  },
};
