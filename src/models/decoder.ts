import {
  type Adapters,
  adapted,
  adapterTensors,
  embedding,
  isAllTakenAlong,
  linear,
  linears,
  rmsNorm,
  takenAlong,
} from "../nn/index.ts";
import { ModelError } from "../schema/index.ts";
import type { DType, Tensor } from "../torch/index.ts";
import { scope } from "../torch/index.ts";
import { gatedActivation } from "./activation.ts";
import type { DecoderConfig } from "./config.ts";
import { mixture } from "./experts.ts";
import { rotate, rotations, type Turn } from "./rope.ts";
import { softcap } from "./softcap.ts";

/** A decoder-only language model: its config and its weights under their Hugging Face names. */
export interface Decoder {
  readonly config: DecoderConfig;
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** Adapters that stand in for weights of projections; without them the model is the base of these. */
  readonly adapters?: Adapters;
}

/**
 * The attention of one layer. Takes q [T, heads, headDim] and k, v [T, keyValueHeads, headDim] of all T tokens of the
 * batch, rotated already, and gives [T, heads * headDim]. Which token sees which is the caller's knowledge: bundles
 * with a shared prefix in `scoring`, a KV cache in `generation`.
 */
export type Attend = (layer: number, q: Tensor, k: Tensor, v: Tensor) => Tensor;

/** Wraps the computation of one layer, e.g. in activation checkpointing. `weights` are those that the layer uses. */
export type WrapLayer = (body: (x: Tensor) => Tensor, x: Tensor, weights: readonly Tensor[], layer: number) => Tensor;

export interface ForwardOptions {
  /** Compute type; weights of another type are cast where they are used. */
  readonly dtype?: DType;
  readonly wrapLayer?: WrapLayer;
  /** Adapters drop some of their inputs. */
  readonly training?: boolean;
  /** int64 [rows]: the only tokens whose final states are wanted. The last layer computes no more of them than it must. */
  readonly rows?: Tensor;
}

/** The norms around attention and around the MLP, by where a model has them. */
interface BlockNorms {
  readonly before?: string;
  readonly after?: string;
}
const normNames: Readonly<Record<DecoderConfig["norms"], { attention: BlockNorms; mlp: BlockNorms }>> = {
  pre: { attention: { before: "input_layernorm" }, mlp: { before: "post_attention_layernorm" } },
  post: { attention: { after: "post_attention_layernorm" }, mlp: { after: "post_feedforward_layernorm" } },
  sandwich: {
    attention: { before: "input_layernorm", after: "post_attention_layernorm" },
    mlp: { before: "pre_feedforward_layernorm", after: "post_feedforward_layernorm" },
  },
};

const router = "block_sparse_moe.gate";
/** Gate, up and down of an expert. */
const expertNames = (expert: number) => ["w1", "w3", "w2"].map((n) => `block_sparse_moe.experts.${expert}.${n}`);

/** Names of the weights of layer `index`, by their role. */
export function layerNames(config: DecoderConfig, index: number): string[] {
  const { norms, queryKeyNorm, queryKeyValueBias, fusedProjections, experts } = config;
  const { attention, mlp } = normNames[norms];
  return [
    ...[attention.before, attention.after, mlp.before, mlp.after].flatMap((n) => (n ? [`${n}.weight`] : [])),
    ...(fusedProjections ? ["qkv", "o"] : ["q", "k", "v", "o"]).map((n) => `self_attn.${n}_proj.weight`),
    ...(queryKeyValueBias ? ["q", "k", "v"].map((n) => `self_attn.${n}_proj.bias`) : []),
    ...(queryKeyNorm === "none" ? [] : ["q", "k"].map((n) => `self_attn.${n}_norm.weight`)),
    ...(experts === null
      ? (fusedProjections ? ["gate_up", "down"] : ["gate", "up", "down"]).map((n) => `mlp.${n}_proj.weight`)
      : [
          `${router}.weight`,
          ...Array.from({ length: experts.count }, (_, e) => expertNames(e))
            .flat()
            .map((n) => `${n}.weight`),
        ]),
  ].map((name) => `model.layers.${index}.${name}`);
}

/** Every weight of the model with its shape. */
export function parameterShapes(config: DecoderConfig): Map<string, number[]> {
  const { hiddenSize: h, intermediateSize: i, headDim: d, heads, keyValueHeads: kv } = config;
  const normed = (count: number) => [config.queryKeyNorm === "whole" ? count * d : d];
  const sizes: Record<string, number[]> = {
    "self_attn.q_proj.weight": [heads * d, h],
    "self_attn.k_proj.weight": [kv * d, h],
    "self_attn.v_proj.weight": [kv * d, h],
    "self_attn.qkv_proj.weight": [(heads + 2 * kv) * d, h],
    "self_attn.o_proj.weight": [h, heads * d],
    "self_attn.q_proj.bias": [heads * d],
    "self_attn.k_proj.bias": [kv * d],
    "self_attn.v_proj.bias": [kv * d],
    "self_attn.q_norm.weight": normed(heads),
    "self_attn.k_norm.weight": normed(kv),
    "mlp.gate_proj.weight": [i, h],
    "mlp.up_proj.weight": [i, h],
    "mlp.gate_up_proj.weight": [2 * i, h],
    "mlp.down_proj.weight": [h, i],
    [`${router}.weight`]: [config.experts?.count ?? 0, h],
    "block_sparse_moe.experts.*.w1.weight": [i, h],
    "block_sparse_moe.experts.*.w3.weight": [i, h],
    "block_sparse_moe.experts.*.w2.weight": [h, i],
  };
  const shapes = new Map<string, number[]>([["model.embed_tokens.weight", [config.vocabularySize, h]]]);
  for (const index of config.layers.keys())
    for (const name of layerNames(config, index)) {
      const part = name
        .split(".")
        .slice(3)
        .join(".")
        .replace(/experts\.\d+/, "experts.*");
      shapes.set(name, sizes[part] ?? [h]);
    }
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
  return rmsNorm(x, scale, normEpsilon);
}

/**
 * Final hidden states [T, hidden] of T tokens laid flat, without padding, normed for the output matrix; [rows, hidden] where only some
 * are asked for. `ids` int64 [T]; `positions` int64 [T], each token's place in its own sequence.
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
  const embedded = embedding(weight(model, "model.embed_tokens.weight", dtype), ids);
  let x = config.embeddingScale === 1 ? embedded : embedded.mul(config.embeddingScale);
  const turns = rotations(config, positions, dtype);
  const training = options.training === true;
  for (const [index, { rope }] of config.layers.entries()) {
    const turn = rope === null ? null : turns(rope);
    const rows = index === config.layers.length - 1 ? options.rows : undefined;
    const body = (input: Tensor) => decoderLayer(model, index, input, { turn, attend, dtype, rows, training });
    const own = options.wrapLayer;
    x = own ? own(body, x, layerWeights(model, index), index) : scope(() => body(x));
  }
  return norm(model, x, "model.norm.weight", dtype);
}

/** The tensors of a layer that may be trained. */
function layerWeights({ config, parameters, adapters }: Decoder, index: number): Tensor[] {
  return layerNames(config, index).flatMap((name) => {
    const adapter = adapters?.get(name);
    return [
      parameters.get(name)!,
      ...(adapter === undefined ? [] : adapterTensors(new Map([[name, adapter]])).values()),
    ];
  });
}

interface LayerPass {
  readonly turn: Turn | null;
  readonly attend: Attend;
  readonly dtype: DType;
  /** Of the last layer: the tokens that are computed beyond the keys and values. */
  readonly rows: Tensor | undefined;
  readonly training: boolean;
}

function decoderLayer(
  model: Decoder,
  index: number,
  x: Tensor,
  { turn, attend, dtype, rows, training }: LayerPass,
): Tensor {
  const { config } = model;
  const wanted = (all: Tensor) => (rows === undefined ? all : all.index_select(0, rows));
  const { heads, keyValueHeads, headDim, intermediateSize, fusedProjections: fused } = config;
  const name = (part: string) => `model.layers.${index}.${part}`;
  const normed = (input: Tensor, part: string) => norm(model, input, name(`${part}.weight`), dtype);
  const adapterOf = (part: string) => model.adapters?.get(name(`${part}.weight`));
  const lowRankOf = (part: string) => {
    const adapter = adapterOf(part);
    return adapter === undefined ? null : takenAlong(adapter, dtype, training);
  };
  /** The projections of one input by some parts of the layer, with their adapters. */
  const projections = (input: Tensor, parts: readonly string[], biased = false): Tensor[] => {
    const layers = parts.map((part) => ({
      weight: weight(model, name(`${part}.weight`), dtype),
      bias: biased ? weight(model, name(`${part}.bias`), dtype) : null,
      lowRank: lowRankOf(part),
    }));
    return linears(input, layers).map((output, k) => {
      const adapter = adapterOf(parts[k]!);
      return adapter === undefined ? output : adapted(adapter, { input, output, ...layers[k]! }, training);
    });
  };
  const project = (input: Tensor, part: string) => projections(input, [part])[0]!;
  /** The projection that ends a block, added to what the block began with. */
  const projectOnto = (residual: Tensor | null, input: Tensor, part: string): Tensor => {
    if (residual === null) return project(input, part);
    const adapter = adapterOf(part);
    if (adapter !== undefined && !isAllTakenAlong(adapter, training)) return residual.add(project(input, part));
    const layer = { weight: weight(model, name(`${part}.weight`), dtype), lowRank: lowRankOf(part), residual };
    return linears(input, [layer])[0]!;
  };
  /** `block` adds what it computes to its residual, unless that is normed before. */
  const withResidual = (
    input: Tensor,
    { before, after }: BlockNorms,
    block: (input: Tensor, residual: Tensor | null) => Tensor,
    residual = input,
  ): Tensor => {
    const begun = before === undefined ? input : normed(input, before);
    return after === undefined ? block(begun, residual) : residual.add(normed(block(begun, null), after));
  };

  const norms = normNames[config.norms];
  return withResidual(withResidual(x, norms.attention, attention, wanted(x)), norms.mlp, feedForward);

  function attention(input: Tensor, residual: Tensor | null): Tensor {
    const sizes = [heads, keyValueHeads, keyValueHeads].map((count) => count * headDim);
    const [q, k, v] = fused
      ? project(input, "self_attn.qkv_proj").split_with_sizes(sizes, -1)
      : projections(
          input,
          ["q", "k", "v"].map((n) => `self_attn.${n}_proj`),
          config.queryKeyValueBias,
        );
    const perHead = (all: Tensor, count: number) => all.view([-1, count, headDim]);
    const turned = (all: Tensor, count: number, normName: string) => {
      const whole = config.queryKeyNorm === "whole" ? normed(all, normName) : all;
      const each = perHead(whole, count);
      const ready = config.queryKeyNorm === "head" ? normed(each, normName) : each;
      return turn === null ? ready : rotate(ready, turn);
    };
    const attended = attend(
      index,
      turned(q!, heads, "self_attn.q_norm"),
      turned(k!, keyValueHeads, "self_attn.k_norm"),
      perHead(v!, keyValueHeads),
    );
    return projectOnto(residual, wanted(attended), "self_attn.o_proj");
  }

  function feedForward(input: Tensor, residual: Tensor | null): Tensor {
    const { experts } = config;
    if (experts !== null) {
      const mixed = mixture(input, project(input, router), experts.perToken, (expert, some) => {
        const [gate, up, down] = expertNames(expert) as [string, string, string];
        const [gated, raised] = projections(some, [gate, up]);
        return project(gatedActivation(gated!, raised!, config.activation), down);
      });
      return residual === null ? mixed : residual.add(mixed);
    }
    const [gate, up] = fused
      ? project(input, "mlp.gate_up_proj").split_with_sizes([intermediateSize, intermediateSize], -1)
      : projections(input, ["mlp.gate_proj", "mlp.up_proj"]);
    return projectOnto(residual, gatedActivation(gate!, up!, config.activation), "mlp.down_proj");
  }
}

/** The output matrix [vocabulary, hidden], in the compute type. */
export function outputMatrix(model: Decoder, options: ForwardOptions = {}): Tensor {
  return weight(model, model.config.tied ? "model.embed_tokens.weight" : "lm_head.weight", computeType(model, options));
}

/** Logits [rows, vocabulary] of the tokens that follow, from rows of `hiddenStates`. */
export const nextLogits = (model: Decoder, hidden: Tensor): Tensor =>
  softcap(linear(hidden, outputMatrix(model)), model.config.logitSoftcap);
