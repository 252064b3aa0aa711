import { z } from "zod";
import type { Tensor } from "../../torch/index.ts";
import type { DecoderConfig } from "../config.ts";
import { commonFields, commonFromGguf, type Family, plainDecoder } from "./family.ts";

const schema = z.looseObject({
  ...commonFields,
  hidden_act: z.literal("silu").default("silu"),
  attention_bias: z.literal(false).default(false),
  mlp_bias: z.literal(false).default(false),
  tie_word_embeddings: z.boolean().default(false),
});

function halvesApart(weight: Tensor, heads: number): Tensor {
  const [rows, columns] = weight.shape as [number, number];
  const half = rows / heads / 2;
  return weight.view([heads, half, 2, columns]).transpose(1, 2).reshape([rows, columns]);
}

/** GGUF interleaves the two halves of each head's rotary dimensions; Hugging Face keeps them one after the other. */
export function uninterleaved(name: string, weight: Tensor, config: DecoderConfig): Tensor {
  if (name.endsWith("q_proj.weight")) return halvesApart(weight, config.heads);
  return name.endsWith("k_proj.weight") ? halvesApart(weight, config.keyValueHeads) : weight;
}

/** Llama 2, 3 and what follows their layout, SmolLM2 among them. */
export const llama: Family = {
  modelTypes: ["llama"],
  architecture: "LlamaForCausalLM",
  parse(config) {
    const fields = schema.parse(config);
    return { ...plainDecoder(fields), tied: fields.tie_word_embeddings };
  },
  gguf: {
    architecture: "llama",
    config: (facts) => ({
      model_type: "llama",
      hidden_act: "silu",
      attention_bias: false,
      mlp_bias: false,
      ...commonFromGguf(facts),
    }),
    restore: uninterleaved,
  },
};
