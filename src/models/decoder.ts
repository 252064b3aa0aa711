import { linear } from "../nn/index.ts";
import { ModelError } from "../schema/index.ts";
import type { DType, Tensor } from "../torch/index.ts";
import { ops, scope } from "../torch/index.ts";
import { gatedActivation } from "./activation.ts";
import type { DecoderConfig } from "./config.ts";
import { rotate, rotations } from "./rope.ts";

/** A decoder-only language model: its config and its weights under their Hugging Face names. */
export interface Decoder {
  readonly config: DecoderConfig;
  readonly parameters: ReadonlyMap<string, Tensor>;
}

/**
 * The attention of one layer. Takes q [T, heads, headDim] and k, v [T, keyValueHeads, headDim] of all T tokens of the
 * batch, rotated already, and gives [T, heads * headDim]. Which token sees which is the caller's knowledge: bundles
 * with a shared prefix in `scoring`, a KV cache in `generation`.
 */
export type Attend = (layer: number, q: Tensor, k: Tensor, v: Tensor) => Tensor;

/** Wraps the computation of one layer, e.g. in activation checkpointing. `weights` are those that the layer uses. */
export type WrapLayer = (body: (x: Tensor) => Tensor, x: Tensor, weights: readonly Tensor[]) => Tensor;

export interface ForwardOptions {
  /** Compute type; weights of another type are cast where they are used. */
  readonly dtype?: DType;
  readonly wrapLayer?: WrapLayer;
}

/** Names of the weights of layer `index`, by their role. */
export function layerNames(config: DecoderConfig, index: number): string[] {
  const { sandwichNorms, queryKeyNorm, queryKeyValueBias } = config;
  const norms = sandwichNorms ? ["pre_feedforward_layernorm", "post_feedforward_layernorm"] : [];
  return [
    ...["input_layernorm", "post_attention_layernorm", ...norms].map((n) => `${n}.weight`),
    ...["q", "k", "v", "o"].map((n) => `self_attn.${n}_proj.weight`),
    ...(queryKeyValueBias ? ["q", "k", "v"].map((n) => `self_attn.${n}_proj.bias`) : []),
    ...(queryKeyNorm ? ["q", "k"].map((n) => `self_attn.${n}_norm.weight`) : []),
    ...["gate", "up", "down"].map((n) => `mlp.${n}_proj.weight`),
  ].map((name) => `model.layers.${index}.${name}`);
}

/** Every weight of the model with its shape. */
export function parameterShapes(config: DecoderConfig): Map<string, number[]> {
  const { hiddenSize: h, intermediateSize: i, headDim: d, heads, keyValueHeads: kv } = config;
  const sizes: Record<string, number[]> = {
    "self_attn.q_proj.weight": [heads * d, h],
    "self_attn.k_proj.weight": [kv * d, h],
    "self_attn.v_proj.weight": [kv * d, h],
    "self_attn.o_proj.weight": [h, heads * d],
    "self_attn.q_proj.bias": [heads * d],
    "self_attn.k_proj.bias": [kv * d],
    "self_attn.v_proj.bias": [kv * d],
    "self_attn.q_norm.weight": [d],
    "self_attn.k_norm.weight": [d],
    "mlp.gate_proj.weight": [i, h],
    "mlp.up_proj.weight": [i, h],
    "mlp.down_proj.weight": [h, i],
  };
  const shapes = new Map<string, number[]>([["model.embed_tokens.weight", [config.vocabularySize, h]]]);
  for (const index of config.layers.keys())
    for (const name of layerNames(config, index)) shapes.set(name, sizes[name.split(".").slice(3).join(".")] ?? [h]);
  shapes.set("model.norm.weight", [h]);
  if (!config.tied) shapes.set("lm_head.weight", [config.vocabularySize, h]);
  return shapes;
}

/** The weight `name`, in the compute type. @throws ModelError when the model has none of that name. */
function weight(model: Decoder, name: string, dtype: DType): Tensor {
  const found = model.parameters.get(name);
  if (found === undefined) throw new ModelError(`the model has no weight ${name}`);
  return found.dtype === dtype ? found : found.to(dtype);
}

/** The type that a forward pass computes in. */
export const computeType = (model: Decoder, options: ForwardOptions): DType =>
  options.dtype ?? model.parameters.get("model.embed_tokens.weight")?.dtype ?? "float32";

/** RMS norm over the last dimension. */
function norm(model: Decoder, x: Tensor, name: string, dtype: DType): Tensor {
  const { normEpsilon, normOffset } = model.config;
  const stored = weight(model, name, dtype);
  const scale = normOffset === 0 ? stored : stored.add(normOffset);
  return ops._fused_rms_norm(x, [scale.elements], scale, normEpsilon)[0];
}

/**
 * Final hidden states [T, hidden] of T tokens laid flat, without padding, normed for the output matrix.
 * `ids` int64 [T]; `positions` int64 [T], each token's place in its own sequence.
 */
export function hiddenStates(
  model: Decoder,
  ids: Tensor,
  positions: Tensor,
  attend: Attend,
  options: ForwardOptions = {},
): Tensor {
  const { config } = model;
  const dtype = computeType(model, options);
  const embedded = ops.embedding(weight(model, "model.embed_tokens.weight", dtype), ids);
  let x = config.embeddingScale === 1 ? embedded : embedded.mul(config.embeddingScale);
  const turns = rotations(config, positions, dtype);
  for (const [index, kind] of config.layers.entries()) {
    const turn = turns(kind.rope);
    const body = (input: Tensor) => decoderLayer(model, index, input, turn, attend, dtype);
    const own = options.wrapLayer;
    x = own
      ? own(
          body,
          x,
          layerNames(config, index).map((name) => model.parameters.get(name)!),
        )
      : scope(() => body(x));
  }
  return norm(model, x, "model.norm.weight", dtype);
}

function decoderLayer(
  model: Decoder,
  index: number,
  x: Tensor,
  turn: readonly [Tensor, Tensor],
  attend: Attend,
  dtype: DType,
): Tensor {
  const { config } = model;
  const name = (part: string) => `model.layers.${index}.${part}`;
  const project = (input: Tensor, part: string, bias = false) =>
    linear(
      input,
      weight(model, name(`${part}.weight`), dtype),
      bias ? weight(model, name(`${part}.bias`), dtype) : null,
    );
  const heads = (part: string, count: number) =>
    project(normed, `self_attn.${part}_proj`, config.queryKeyValueBias).view([-1, count, config.headDim]);

  const normed = norm(model, x, name("input_layernorm.weight"), dtype);
  let q = heads("q", config.heads);
  let k = heads("k", config.keyValueHeads);
  const v = heads("v", config.keyValueHeads);
  if (config.queryKeyNorm) {
    q = norm(model, q, name("self_attn.q_norm.weight"), dtype);
    k = norm(model, k, name("self_attn.k_norm.weight"), dtype);
  }
  const attended = project(attend(index, rotate(q, turn), rotate(k, turn), v), "self_attn.o_proj");
  if (config.sandwichNorms) {
    const afterAttention = x.add(norm(model, attended, name("post_attention_layernorm.weight"), dtype));
    const inner = norm(model, afterAttention, name("pre_feedforward_layernorm.weight"), dtype);
    const fed = norm(model, feedForward(inner), name("post_feedforward_layernorm.weight"), dtype);
    return afterAttention.add(fed);
  }
  const afterAttention = x.add(attended);
  return afterAttention.add(feedForward(norm(model, afterAttention, name("post_attention_layernorm.weight"), dtype)));

  function feedForward(input: Tensor): Tensor {
    return project(
      gatedActivation(project(input, "mlp.gate_proj"), project(input, "mlp.up_proj"), config.activation),
      "mlp.down_proj",
    );
  }
}

/** The output matrix [vocabulary, hidden], in the compute type. */
export function outputMatrix(model: Decoder, options: ForwardOptions = {}): Tensor {
  return weight(model, model.config.tied ? "model.embed_tokens.weight" : "lm_head.weight", computeType(model, options));
}
