import { type DecoderConfig, layerNames, parameterShapes } from "../models/index.ts";
import type { Bundle } from "../scoring/index.ts";

/** Floating point operations of a training step, in all and by part. */
export interface TrainingFlops {
  /** Tokens that are computed: prompts once, and all responses. */
  readonly tokens: number;
  /** Of these, tokens of responses, whose log-probs are taken. */
  readonly scored: number;
  /** What forward and backward need, computed once each: the three parts together. */
  readonly needed: number;
  readonly layers: number;
  readonly attention: number;
  readonly head: number;
}

/** What of a model is trained: weights by their names, or those that adapters stand in for. */
export interface TrainedPart {
  readonly names: Iterable<string>;
  readonly adapters: boolean;
}

/** The places of a layer's parts in the order of the computation; a layer takes four. */
const places: readonly (readonly [part: RegExp, place: number])[] = [
  [/\.input_layernorm\./, -0.5],
  [/\.self_attn\.[qk]_norm\./, 0.25],
  [/\.self_attn\.o_proj\./, 1],
  [/\.self_attn\./, 0],
  [/\.(post_attention|pre_feedforward)_layernorm\./, 1.5],
  [/\.post_feedforward_layernorm\./, 3.5],
  [/\.(down_proj|w2)\./, 3],
];
const otherPlace = 2;

/** When a weight is used: 0 of the embeddings, 1 and more of the layers, most of the output. */
function placeOf(name: string, layers: number): number {
  const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
  if (layer !== undefined) return 1 + 4 * Number(layer) + (places.find(([part]) => part.test(name))?.[1] ?? otherPlace);
  if (name.startsWith("model.embed_tokens.")) return 0;
  return 1 + 4 * layers - (name.startsWith("model.norm.") ? 0.5 : 0);
}

const weightOfAdapter = (name: string) => name.replace(/\.lora_([AB]\.weight|magnitude_vector)$/, ".weight");

interface Products {
  /** Operations for each token: of all layers' matrices; for each scored token: of the output's. */
  readonly layers: number;
  readonly head: number;
  /**
   * Of each layer's attention, how often its forward: once and, where anything before it is trained, twice in the backward.
   */
  readonly attention: readonly number[];
}

/**
 * What a token costs where only this is trained: 2 operations for each weight in the forward, 2 in the backward where the
 * weight is trained itself, and 2 where something before it is, to which the gradient has to come.
 */
function products(config: DecoderConfig, trained: TrainedPart | undefined): Products {
  const { layers, experts, tied, hiddenSize, vocabularySize } = config;
  const shapes = parameterShapes(config);
  const names = new Set([...(trained?.names ?? shapes.keys())].map(weightOfAdapter));
  const first = Math.min(...[...names].map((name) => placeOf(name, layers.length)));
  const perWeight = (name: string, place: number) =>
    2 + (names.has(name) && trained?.adapters !== true ? 2 : 0) + (first < place ? 2 : 0);
  const ofLayer = (name: string) => {
    const [rows, columns] = shapes.get(name) as [number, number?];
    if (columns === undefined) return 0;
    const share = experts !== null && /\.experts\.\d+\./.test(name) ? experts.perToken / experts.count : 1;
    return perWeight(name, placeOf(name, layers.length)) * rows * columns * share;
  };
  const all = layers.flatMap((_, index) => layerNames(config, index));
  const output = tied ? "model.embed_tokens.weight" : "lm_head.weight";
  return {
    layers: all.reduce((sum, name) => sum + ofLayer(name), 0),
    head: perWeight(output, placeOf("lm_head.weight", layers.length)) * hiddenSize * vocabularySize,
    attention: layers.map((_, index) => (first < 1 + 4 * index + 1 ? 3 : 1)),
  };
}

/** Pairs of query and key that see each other in a text of n tokens, each of which sees `window` tokens at most. */
const pairsOfText = (n: number, window: number): number =>
  n <= window ? (n * (n + 1)) / 2 : (window * (window + 1)) / 2 + (n - window) * window;

/** The same of a bundle: its prompt once, and every response on it. */
function pairsOfBundle({ prompt, responses }: Bundle, window: number | null): number {
  const pairs = (n: number) => pairsOfText(n, window ?? Number.POSITIVE_INFINITY);
  const shared = pairs(prompt.length);
  return responses.reduce((sum, y) => sum + pairs(prompt.length + y.length) - shared, shared);
}

/**
 * Counts the floating point operations that a training step on bundles needs: 2 for each weight and token in the forward, 4
 * in the backward; for attention 4 (two products) for each visible pair and dimension of a head in the forward and twice
 * that in the backward; the output matrix for scored tokens only. What the backward computes a second time (attention scores,
 * checkpointed activations, the logits of a large batch) is not counted. Where not everything is `trained`, frozen weights get
 * no gradient, and none is needed of what stands before all that is trained. Of adapters the weights that they stand in for
 * count, and not their own operations.
 */
export function flopCounter(
  config: DecoderConfig,
  trained?: TrainedPart,
): (bundles: readonly Bundle[]) => TrainingFlops {
  const perToken = products(config, trained);
  return (bundles) => {
    const sum = (of: (bundle: Bundle) => number) => bundles.reduce((total, bundle) => total + of(bundle), 0);
    const scored = sum(({ responses }) => responses.reduce((total, y) => total + y.length, 0));
    const tokens = scored + sum(({ prompt }) => prompt.length);
    const attended = config.layers.map(
      ({ window }) => 4 * sum((bundle) => pairsOfBundle(bundle, window)) * config.heads * config.headDim,
    );
    const layers = perToken.layers * tokens;
    const attention = attended.reduce((total, count, layer) => total + count * perToken.attention[layer]!, 0);
    const head = perToken.head * scored;
    return { tokens, scored, needed: layers + attention + head, layers, attention, head };
  };
}
