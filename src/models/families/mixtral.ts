import { z } from "zod";
import { commonFields, type Family, plainDecoder } from "./family.ts";
import { refusal } from "./rotation.ts";

/** Of all layers together, many times those of any model: each takes memory before its weights are looked for. */
const mostExperts = 100_000;

const schema = z.looseObject({
  ...commonFields,
  rms_norm_eps: z.number().positive().default(1e-5),
  rope_theta: z.number().positive().default(1_000_000),
  hidden_act: z.literal("silu").default("silu"),
  sliding_window: z.int().positive().nullish(),
  num_local_experts: z.int().positive().default(8),
  num_experts_per_tok: z.int().positive().default(2),
  tie_word_embeddings: z.boolean().default(false),
});

/** Mixtral: Mistral's layout with several MLPs a layer, of which each token goes through few. */
export const mixtral: Family = {
  modelTypes: ["mixtral"],
  architecture: "MixtralForCausalLM",
  parse(config) {
    const fields = schema.parse(config);
    const { num_local_experts: count, num_experts_per_tok: perToken, sliding_window: window = null } = fields;
    if (count * fields.num_hidden_layers > mostExperts)
      throw refusal("num_local_experts", count, `is ${count} a layer; at most ${mostExperts} in all are known here`);
    if (perToken > count)
      throw refusal("num_experts_per_tok", perToken, `is ${perToken}, but there are ${count} experts`);
    const plain = plainDecoder(fields);
    return {
      ...plain,
      layers: plain.layers.map((layer) => ({ ...layer, window })),
      experts: { count, perToken },
      tied: fields.tie_word_embeddings,
    };
  },
};
