import { z } from "zod";
import type { DecoderConfig } from "../config.ts";
import { commonFields, type Family, type StoredPart } from "./family.ts";
import { llama } from "./llama.ts";

const schema = z.looseObject({
  ...commonFields,
  hidden_act: z.literal("silu").default("silu"),
  bias: z.literal(false, "biases of InternLM2 are not known here").default(false),
  tie_word_embeddings: z.boolean().default(false),
});

/** What it calls the weights of Llama's names. */
const names: Readonly<Record<string, string>> = {
  "model.embed_tokens.weight": "model.tok_embeddings.weight",
  "lm_head.weight": "output.weight",
  "input_layernorm.weight": "attention_norm.weight",
  "post_attention_layernorm.weight": "ffn_norm.weight",
  "self_attn.o_proj.weight": "attention.wo.weight",
  "mlp.gate_proj.weight": "feed_forward.w1.weight",
  "mlp.up_proj.weight": "feed_forward.w3.weight",
  "mlp.down_proj.weight": "feed_forward.w2.weight",
};

/** The queries of a group of heads, its keys and its values stand one after the other, group after group. */
function groupPart(config: DecoderConfig, part: string): NonNullable<StoredPart["whole"]> {
  const { heads, keyValueHeads: groups, headDim, hiddenSize } = config;
  const each = heads / groups;
  const [from, count] = { q: [0, each], k: [each, 1], v: [each + 1, 1] }[part] as [number, number];
  return {
    shape: [(heads + 2 * groups) * headDim, hiddenSize],
    take: (whole) =>
      whole
        .view([groups, each + 2, headDim, hiddenSize])
        .narrow(1, from, count)
        .reshape([groups * count * headDim, hiddenSize]),
  };
}

/** InternLM2 and 2.5: Llama in other words, with one weight for queries, keys and values. Saved as Llama. */
export const internlm2: Family = {
  modelTypes: ["internlm2"],
  architecture: "LlamaForCausalLM",
  parse(config) {
    const { hidden_act: _, ...fields } = schema.parse(config);
    return llama.parse(fields);
  },
  folder: {
    config({ bias: _, attn_implementation: __, auto_map: ___, ...fields }) {
      return {
        ...fields,
        model_type: "llama",
        architectures: ["LlamaForCausalLM"],
        attention_bias: false,
        mlp_bias: false,
      };
    },
    place(name, config) {
      const [, layer, part] = /^(model\.layers\.\d+\.)(.+)$/.exec(name) ?? [];
      if (layer === undefined) return { names: [names[name] ?? name] };
      const fused = /^self_attn\.([qkv])_proj\.weight$/.exec(part!)?.[1];
      if (fused === undefined) return { names: [`${layer}${names[part!] ?? part}`] };
      return { names: [`${layer}attention.wqkv.weight`], whole: groupPart(config, fused) };
    },
  },
  gguf: { ...llama.gguf!, architecture: "internlm2" },
};
