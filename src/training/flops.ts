import type { DecoderConfig } from "../models/index.ts";
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
  /** Where the logits are computed a second time in the backward. */
  readonly withLogitsAgain: number;
  /** Where the attention scores are, too. */
  readonly withAllAgain: number;
}

/** Weights of the matrices that a token goes through: of all layers, and of the output. */
function matrixWeights(config: DecoderConfig): { layers: number; head: number } {
  const { hiddenSize: h, intermediateSize, headDim, heads, keyValueHeads, layers, experts } = config;
  const attention = 2 * h * headDim * (heads + keyValueHeads);
  const mlp = 3 * h * intermediateSize;
  const mlps = experts === null ? mlp : experts.perToken * mlp + h * experts.count;
  return { layers: (attention + mlps) * layers.length, head: h * config.vocabularySize };
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
 * Floating point operations that a training step on these bundles needs: 2 for each weight and token in the forward, 4 in
 * the backward; for attention 4 (two products) for each visible pair and dimension of a head in the forward and twice that
 * in the backward; the output matrix for scored tokens only. What activation checkpointing computes again is not counted.
 * Under adapters weights get no gradient, and of the 4 in the backward 2 are left; the adapters' own operations are not counted.
 */
export function trainingFlops(config: DecoderConfig, bundles: readonly Bundle[], adapters = false): TrainingFlops {
  const perWeight = adapters ? 4 : 6;
  const weights = matrixWeights(config);
  const sum = (of: (bundle: Bundle) => number) => bundles.reduce((total, bundle) => total + of(bundle), 0);
  const scored = sum(({ responses }) => responses.reduce((total, y) => total + y.length, 0));
  const tokens = scored + sum(({ prompt }) => prompt.length);
  const pairs = config.layers.reduce((all, { window }) => all + sum((bundle) => pairsOfBundle(bundle, window)), 0);
  const attended = 4 * pairs * config.heads * config.headDim;
  const layers = perWeight * weights.layers * tokens;
  const attention = 3 * attended;
  const head = perWeight * weights.head * scored;
  const needed = layers + attention + head;
  const withLogitsAgain = needed + 2 * weights.head * scored;
  return {
    tokens,
    scored,
    needed,
    layers,
    attention,
    head,
    withLogitsAgain,
    withAllAgain: withLogitsAgain + attended / 2,
  };
}
