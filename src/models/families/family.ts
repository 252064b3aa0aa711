import { z } from "zod";
import type { Tensor } from "../../torch/index.ts";
import type { DecoderConfig } from "../config.ts";
import { frequencies } from "../rope.ts";
import { readRope, refusal, rotationSchema } from "./rotation.ts";

/** Metadata of a GGUF file as a family reads it: keys without the architecture's prefix. */
export interface GgufFacts {
  /** @throws ModelError when the key is missing or no number. */
  number(key: string): number;
  optionalNumber(key: string): number | undefined;
  optionalString(key: string): string | undefined;
  vocabularySize: number;
  hasTensor(name: string): boolean;
  /** The values of a small tensor, where the file has it. */
  optionalTensor(name: string): number[] | undefined;
  /** The error for a fact that can't be used. */
  refuse(key: string, message: string): Error;
}

/**
 * A family of decoders: what its `config.json` means, and how its GGUF files differ. A new family is one file with
 * such a value, and one line in `families/index.ts`.
 */
export interface Family {
  readonly modelTypes: readonly string[];
  /** The `architectures` entry that `transformers` opens it with. */
  readonly architecture: string;
  /** @throws z.ZodError when a field is missing or of the wrong type. */
  parse(config: unknown): DecoderConfig;
  /** Its GGUF files; without, they call themselves another family. */
  readonly gguf?: GgufForm;
  /** Its Hugging Face folders, where they are not laid out as the models of this room are; it is saved as another family. */
  readonly folder?: FolderForm;
}

/** A Hugging Face folder in a layout of its own. */
export interface FolderForm {
  /** Its `config.json` as one of the family that it is saved as. */
  config(stored: Readonly<Record<string, unknown>>): Record<string, unknown>;
  /** Where the folder has the weight of this name. */
  place(name: string, config: DecoderConfig): StoredPart;
  /** Weights of parts that are left out, as images. */
  readonly leftOut?: (name: string) => boolean;
}

/** A weight, or a tensor that it is a part of. */
export interface StoredPart {
  /** Names that the tensor may have. */
  readonly names: readonly string[];
  /** Where it is more than the weight: its shape, and how the weight is taken from it. */
  readonly whole?: { readonly shape: readonly number[]; take(tensor: Tensor): Tensor };
}

/** What a family's GGUF files are like. */
export interface GgufForm {
  readonly architecture: string;
  /** The fields of `config.json` that the metadata stand for. */
  config(facts: GgufFacts): Record<string, unknown>;
  /** Hugging Face name of a weight without its layer's prefix, where it is not the usual one. */
  readonly names?: Readonly<Record<string, string>>;
  /** Tensors that `config` reads; without, those of Llama 3.1's rotation. */
  readonly factors?: readonly string[];
  /** Undoes what the conversion to GGUF did to a weight. */
  restore?(name: string, weight: Tensor, config: DecoderConfig): Tensor;
}

/** Many times the layers of any model. */
const mostLayers = 10_000;

/** Fields that all families share. */
export const commonFields = {
  vocab_size: z.int().positive(),
  hidden_size: z.int().positive(),
  intermediate_size: z.int().positive(),
  /** Bounded because a layer takes memory before its weights are looked for. */
  num_hidden_layers: z.int().positive().max(mostLayers),
  num_attention_heads: z.int().positive(),
  num_key_value_heads: z.int().positive().optional(),
  head_dim: z.int().positive().nullish(),
  rms_norm_eps: z.number().positive().default(1e-6),
  max_position_embeddings: z.int().positive(),
  rope_theta: z.number().positive().optional(),
  rope_scaling: rotationSchema.nullish(),
  /** Where transformers 5 keeps theta and scaling. */
  rope_parameters: rotationSchema.nullish(),
};

const commonSchema = z.looseObject(commonFields);
export type CommonConfig = z.infer<typeof commonSchema>;

const misfit = (field: string, value: number, whole: string, of: number): z.ZodError =>
  refusal(field, value, `is ${value}, which does not divide ${whole} ${of}`);

/** The part of the config that every family fills in the same way: one kind of layer, SiLU, plain norms. */
export function plainDecoder(fields: CommonConfig): DecoderConfig {
  const heads = fields.num_attention_heads;
  const keyValueHeads = fields.num_key_value_heads ?? heads;
  const headDim = fields.head_dim ?? fields.hidden_size / heads;
  if (!Number.isInteger(headDim)) throw misfit("num_attention_heads", heads, "hidden_size", fields.hidden_size);
  if (headDim % 2 !== 0) throw refusal("head_dim", headDim, `is ${headDim}: dimensions are rotated in pairs`);
  if (heads % keyValueHeads !== 0) throw misfit("num_key_value_heads", keyValueHeads, "num_attention_heads", heads);
  const rope = readRope(
    fields.rope_parameters?.rope_theta ?? fields.rope_theta ?? 10_000,
    fields.rope_parameters ?? fields.rope_scaling,
    { rotaryDim: headDim, maxPositions: fields.max_position_embeddings },
  );
  return {
    vocabularySize: fields.vocab_size,
    hiddenSize: fields.hidden_size,
    intermediateSize: fields.intermediate_size,
    heads,
    keyValueHeads,
    headDim,
    rotaryDim: headDim,
    layers: Array.from({ length: fields.num_hidden_layers }, () => ({ rope, window: null })),
    activation: "silu",
    normEpsilon: fields.rms_norm_eps,
    normOffset: 0,
    norms: "pre",
    queryKeyNorm: "none",
    embeddingScale: 1,
    attentionScale: headDim ** -0.5,
    attentionSoftcap: null,
    logitSoftcap: null,
    queryKeyValueBias: false,
    fusedProjections: false,
    experts: null,
    tied: false,
    maxPositions: fields.max_position_embeddings,
  };
}

/** GGUF stores float32; this is the shortest decimal that stands for the same one. */
export const decimal = (value: number): number => Number(value.toPrecision(7));

/** Divisors of the rotation's frequencies, in files of models with Llama 3.1's long context. */
export const llama3Factors = "rope_freqs.weight";

/** Settings of Llama 3.1 and 3.2 besides the factor: GGUF keeps what follows from them only. */
const llama3Settings = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/** `rope_scaling` of a GGUF file's metadata and factors; undefined where positions are not stretched. */
function scalingFromGguf(facts: GgufFacts, theta: number, headDim: number): Record<string, unknown> | undefined {
  const factors = facts.optionalTensor(llama3Factors);
  if (factors !== undefined) {
    const foreign = facts.refuse(llama3Factors, "these factors of the rotation are not those of Llama 3.1");
    if (factors.length !== headDim / 2) throw foreign;
    const scaling = {
      rope_type: "llama3",
      factor: factors.reduce((most, factor) => Math.max(most, factor)),
      ...llama3Settings,
    };
    const plain = frequencies({ theta, scaling: { kind: "none" } }, headDim);
    const sizes = { rotaryDim: headDim, maxPositions: facts.number("context_length") };
    const stretched = frequencies(readRope(theta, scaling, sizes), headDim);
    const agree = plain.every((f, i) => Math.abs(f / stretched[i]! / factors[i]! - 1) < 1e-4);
    if (!agree) throw foreign;
    return scaling;
  }
  const type = facts.optionalString("rope.scaling.type") ?? "none";
  if (type === "none") return undefined;
  if (type === "linear") return { rope_type: "linear", factor: decimal(facts.number("rope.scaling.factor")) };
  throw facts.refuse("rope.scaling.type", `unknown rotation ${type} (known: none, linear, and Llama 3.1's factors)`);
}

/** Fields of `config.json`, with those that families compute with. */
export interface CommonFromGguf extends Record<string, unknown> {
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly head_dim: number;
}

/** The fields of `config.json` that every family takes from GGUF in the same way. */
export function commonFromGguf(facts: GgufFacts, readScaling = scalingFromGguf): CommonFromGguf {
  const heads = facts.number("attention.head_count");
  const hidden = facts.number("embedding_length");
  const headDim = facts.optionalNumber("attention.key_length") ?? hidden / heads;
  const theta = decimal(facts.optionalNumber("rope.freq_base") ?? 10_000);
  const scaling = readScaling(facts, theta, headDim);
  return {
    vocab_size: facts.vocabularySize,
    hidden_size: hidden,
    intermediate_size: facts.number("feed_forward_length"),
    num_hidden_layers: facts.number("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: facts.optionalNumber("attention.head_count_kv") ?? heads,
    head_dim: headDim,
    rms_norm_eps: decimal(facts.number("attention.layer_norm_rms_epsilon")),
    max_position_embeddings: facts.number("context_length"),
    rope_theta: theta,
    ...(scaling === undefined ? {} : { rope_scaling: scaling }),
    tie_word_embeddings: !facts.hasTensor("output.weight"),
  };
}
