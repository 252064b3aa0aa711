import { z } from "zod";
import type { Rope } from "../config.ts";
import { commonFields, commonFromGguf, decimal, type Family, type GgufFacts, plainDecoder } from "./family.ts";
import { readRope, refusal } from "./rotation.ts";

const factors = z.array(z.number().positive());
const ropeSchema = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  partial_rotary_factor: z.number().positive().max(1).optional(),
  short_factor: factors.optional(),
  long_factor: factors.optional(),
  factor: z.number().positive().optional(),
  attention_factor: z.number().positive().optional(),
});

const schema = z.looseObject({
  ...commonFields,
  rms_norm_eps: z.number().positive().default(1e-5),
  hidden_act: z.literal("silu").default("silu"),
  attention_bias: z.literal(false).default(false),
  original_max_position_embeddings: z.int().positive().default(4096),
  partial_rotary_factor: z.number().positive().max(1).default(1),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  sliding_window: z.int().positive().nullish(),
  tie_word_embeddings: z.boolean().default(false),
});

/** LongRoPE multiplies cosines and sines by this where positions are stretched `factor` times. */
const amplitudeOf = (factor: number, originalPositions: number): number =>
  factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalPositions));

/** Of LongRoPE's two sets of factors, the one for contexts of the original length. */
function longrope(fields: z.infer<typeof schema>, theta: number, rotaryDim: number): Rope {
  const scaling = fields.rope_parameters ?? fields.rope_scaling;
  const short = scaling?.short_factor;
  if (short?.length !== rotaryDim / 2)
    throw refusal(
      "rope_scaling",
      short,
      `short_factor has ${short?.length ?? "no"} numbers, ${rotaryDim / 2} are needed`,
    );
  const { max_position_embeddings: positions, original_max_position_embeddings: originalPositions } = fields;
  const amplitude =
    scaling?.attention_factor ?? amplitudeOf(scaling?.factor ?? positions / originalPositions, originalPositions);
  return { theta, scaling: { kind: "longrope", factors: short, amplitude, originalPositions } };
}

/** The context that a GGUF file's model was trained for before it was stretched. */
const originalPositionsOf = (facts: GgufFacts): number =>
  facts.optionalNumber("rope.scaling.original_context_length") ?? facts.number("context_length");

/** `rope_scaling` of a GGUF file; undefined where positions are not stretched. */
function scalingFromGguf(facts: GgufFacts): Record<string, unknown> | undefined {
  const type = facts.optionalString("rope.scaling.type") ?? "none";
  if (type !== "none" && type !== "longrope")
    throw facts.refuse("rope.scaling.type", `unknown rotation ${type} (known: none, longrope)`);
  const [short, long] = ["short", "long"].map((n) => facts.optionalTensor(`rope_factors_${n}.weight`)?.map(decimal));
  const stretched = facts.number("context_length") / originalPositionsOf(facts);
  if (short === undefined && long === undefined && stretched <= 1) return undefined;
  if (short === undefined || long === undefined)
    throw facts.refuse("rope_factors_short.weight", "the context is stretched, but LongRoPE's factors are missing");
  const amplitude = amplitudeOf(stretched, originalPositionsOf(facts));
  const stored = facts.optionalNumber("rope.scaling.attn_factor") ?? amplitude;
  if (Math.abs(stored / amplitude - 1) > 1e-4)
    throw facts.refuse("rope.scaling.attn_factor", `is ${stored}, LongRoPE would have ${amplitude}`);
  return { type: "longrope", short_factor: short, long_factor: long };
}

/**
 * Phi-3 and Phi-4: Llama's layout with fused projections, and rope that may turn a part of each head only. LongRoPE turns
 * all of a text in another way once it is longer than the original context (4096 tokens), which no prompt can be that
 * texts of both kinds share: here the context ends there.
 */
export const phi3: Family = {
  modelTypes: ["phi3"],
  architecture: "Phi3ForCausalLM",
  parse(config) {
    const fields = schema.parse(config);
    const scaling = fields.rope_parameters ?? fields.rope_scaling;
    const kind = scaling?.rope_type ?? scaling?.type ?? "default";
    // Earlier names of the same.
    const long = ["longrope", "su", "yarn"].includes(kind);
    const plain = plainDecoder({ ...fields, rope_scaling: null, rope_parameters: null });
    const rotaryDim = Math.trunc(plain.headDim * (scaling?.partial_rotary_factor ?? fields.partial_rotary_factor));
    if (rotaryDim % 2 !== 0)
      throw refusal("partial_rotary_factor", rotaryDim, `leaves ${rotaryDim} dimensions: they are rotated in pairs`);
    const theta = scaling?.rope_theta ?? fields.rope_theta ?? 10_000;
    const layer = {
      rope: long
        ? longrope(fields, theta, rotaryDim)
        : readRope(theta, { ...scaling, partial_rotary_factor: 1 }, { rotaryDim, maxPositions: plain.maxPositions }),
      window: fields.sliding_window ?? null,
    };
    return {
      ...plain,
      rotaryDim,
      layers: plain.layers.map(() => layer),
      fusedProjections: true,
      tied: fields.tie_word_embeddings,
      maxPositions: long
        ? Math.min(fields.max_position_embeddings, fields.original_max_position_embeddings)
        : fields.max_position_embeddings,
    };
  },
  gguf: {
    architecture: "phi3",
    config(facts) {
      const common = commonFromGguf(facts, scalingFromGguf);
      const window = facts.optionalNumber("attention.sliding_window") ?? 0;
      return {
        model_type: "phi3",
        hidden_act: "silu",
        ...common,
        original_max_position_embeddings: originalPositionsOf(facts),
        partial_rotary_factor: (facts.optionalNumber("rope.dimension_count") ?? common.head_dim) / common.head_dim,
        sliding_window: window === 0 ? null : window,
      };
    },
    names: {
      "attn_qkv.weight": "self_attn.qkv_proj.weight",
      "ffn_up.weight": "mlp.gate_up_proj.weight",
    },
    factors: ["rope_factors_short.weight", "rope_factors_long.weight"],
  },
};
