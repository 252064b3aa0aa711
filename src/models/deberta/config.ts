import { z } from "zod";
import { ModelError } from "../../schema/index.ts";

/** A DeBERTa encoder of the second or third version (arXiv 2006.03654, 2111.09543): attention to what a token is and to how far away it is. */
export interface DebertaConfig {
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly headDim: number;
  readonly layers: number;
  readonly normEpsilon: number;
  /** Distances fall into so many buckets to either side, wider ones the farther away; null: each distance has its own. */
  readonly buckets: number | null;
  /** Farther ones count as this. */
  readonly maxDistance: number;
  /** Which terms of a score there are beside content to content: content to position, position to content. */
  readonly terms: readonly ("c2p" | "p2c")[];
  /** Positions are projected by the matrices of the content. */
  readonly sharedProjections: boolean;
  /** The embeddings of the distances are normed. */
  readonly normedPositions: boolean;
  /** Rows of an embedding of segments, of which the first counts; 0: there is none. */
  readonly segments: number;
}

const size = z.int().positive();
const names = z
  .union([z.string().transform((text) => text.split("|").map((name) => name.trim())), z.array(z.string())])
  .transform((list) => list.map((name) => name.toLowerCase()));

const fieldsSchema = z.looseObject({
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_attention_heads: size,
  num_hidden_layers: size,
  attention_head_size: size.optional(),
  embedding_size: size.optional(),
  hidden_act: z.string().default("gelu"),
  layer_norm_eps: z.number().positive().default(1e-7),
  relative_attention: z.boolean().default(false),
  max_position_embeddings: size.default(512),
  max_relative_positions: z.int().default(-1),
  position_buckets: z.int().default(-1),
  position_biased_input: z.boolean().default(true),
  pos_att_type: names.nullish().transform((list) => list ?? []),
  share_att_key: z.boolean().default(false),
  norm_rel_ebd: names.default(["none"]),
  type_vocab_size: z.int().min(0).default(0),
  conv_kernel_size: z.int().nullish(),
});

/** Reads the fields of a config.json. @throws ModelError for a DeBERTa of another make, ZodError for fields that can't be read. */
export function debertaConfig(config: unknown): DebertaConfig {
  const fields = fieldsSchema.parse(config);
  const { hidden_size: hidden, num_attention_heads: heads, pos_att_type: terms } = fields;
  const refuse = (isSo: boolean, field: keyof typeof fields, message: string) => {
    if (!isSo) return;
    throw new ModelError(message, {
      field: String(field),
      hint: "Take a model on DeBERTa-v3 as Microsoft published it.",
    });
  };
  refuse(!fields.relative_attention, "relative_attention", "DeBERTa without relative positions is not supported");
  refuse(
    fields.position_biased_input,
    "position_biased_input",
    "DeBERTa with absolute positions in its input is not supported",
  );
  refuse(
    (fields.conv_kernel_size ?? 0) > 0,
    "conv_kernel_size",
    "DeBERTa with a convolution (v2 xlarge) is not supported",
  );
  refuse(
    fields.hidden_act !== "gelu",
    "hidden_act",
    `the activation ${JSON.stringify(fields.hidden_act)} is not supported, only gelu`,
  );
  refuse(
    (fields.embedding_size ?? hidden) !== hidden,
    "embedding_size",
    "embeddings of another size than the hidden states are not supported",
  );
  refuse(
    fields.attention_head_size === undefined && hidden % heads !== 0,
    "num_attention_heads",
    `${hidden} is no multiple of ${heads} heads`,
  );
  const known = terms.filter((term) => term === "c2p" || term === "p2c");
  refuse(
    known.length !== terms.length || terms.length === 0,
    "pos_att_type",
    `of attention c2p and p2c are supported, not ${JSON.stringify(terms)}`,
  );
  return {
    vocabularySize: fields.vocab_size,
    hiddenSize: hidden,
    intermediateSize: fields.intermediate_size,
    heads,
    headDim: fields.attention_head_size ?? hidden / heads,
    layers: fields.num_hidden_layers,
    normEpsilon: fields.layer_norm_eps,
    buckets: fields.position_buckets > 0 ? fields.position_buckets : null,
    maxDistance: fields.max_relative_positions < 1 ? fields.max_position_embeddings : fields.max_relative_positions,
    terms: known,
    sharedProjections: fields.share_att_key,
    normedPositions: fields.norm_rel_ebd.includes("layer_norm"),
    segments: fields.type_vocab_size,
  };
}
