import { z } from "zod";
import type { Family } from "./family.ts";
import { gemma3 } from "./gemma3.ts";

/** What the published folders leave unsaid of the language model. */
const silent = {
  vocab_size: 262_208,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  max_position_embeddings: 131_072,
  rms_norm_eps: 1e-6,
  rope_theta: 1_000_000,
};

const schema = z.looseObject({ text_config: z.record(z.string(), z.unknown()) });

function textConfig(stored: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { text_config: text } = schema.parse(stored);
  return { ...silent, ...text, model_type: "gemma3_text", architectures: ["Gemma3ForCausalLM"] };
}

/** Gemma 3 of 4B and more, which sees images, too: here its language model, which is saved as one of text only. */
export const gemma3Multimodal: Family = {
  modelTypes: ["gemma3"],
  architecture: "Gemma3ForCausalLM",
  parse: (config) => gemma3.parse(textConfig(config as Readonly<Record<string, unknown>>)),
  folder: {
    config: textConfig,
    place: (name) => {
      const bare = name.replace(/^model\./, "");
      return name === "lm_head.weight"
        ? { names: ["language_model.lm_head.weight", "lm_head.weight"] }
        : { names: [`language_model.model.${bare}`, `model.language_model.${bare}`] };
    },
    leftOut: (name) => /^(model\.)?(vision_tower|multi_modal_projector)\./.test(name),
  },
};
