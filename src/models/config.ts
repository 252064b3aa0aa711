/** How positions turn queries and keys. */
export interface Rope {
  readonly theta: number;
  /** Stretches the positions: all alike (`linear`), by wavelength as in Llama 3.1, or each frequency by its own factor (`longrope`, and so YaRN). */
  readonly scaling:
    | { readonly kind: "none" }
    | { readonly kind: "linear"; readonly factor: number }
    | {
        readonly kind: "llama3";
        readonly factor: number;
        readonly lowFrequencyFactor: number;
        readonly highFrequencyFactor: number;
        readonly originalPositions: number;
      }
    | {
        readonly kind: "longrope";
        readonly factors: readonly number[];
        /** Cosines and sines are multiplied by this. */
        readonly amplitude: number;
        /** The factors are those of texts up to this length. */
        readonly originalPositions: number;
      };
}

/** What differs between the layers of one model. */
export interface LayerKind {
  /** null: queries and keys are not turned (NoPE). */
  readonly rope: Rope | null;
  /** A token sees this many positions, its own included; null sees all before it. */
  readonly window: number | null;
}

/**
 * A decoder in the terms of this room. Each family fills it from a Hugging Face `config.json`; the one forward pass in
 * `decoder.ts` reads nothing else.
 */
export interface DecoderConfig {
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  /** Rope turns so many dimensions of each head, the first ones. */
  readonly rotaryDim: number;
  readonly layers: readonly LayerKind[];
  readonly activation: "silu" | "gelu_tanh";
  readonly normEpsilon: number;
  /** Gemma stores its norm weights less one. */
  readonly normOffset: 0 | 1;
  /** RMS norms of what attention and MLP read (`pre`), of what they add to the residual (`post`), or of both (`sandwich`). */
  readonly norms: "pre" | "post" | "sandwich";
  /** RMS norm of queries and keys before the rotation: of each head, or over all heads together. */
  readonly queryKeyNorm: "none" | "head" | "whole";
  /** Gemma scales the embeddings by sqrt(hidden size). */
  readonly embeddingScale: number;
  /** Scores are q·k times this. */
  readonly attentionScale: number;
  /** Scores s become cap · tanh(s / cap). */
  readonly attentionSoftcap: number | null;
  /** The same of the logits. */
  readonly logitSoftcap: number | null;
  readonly queryKeyValueBias: boolean;
  /** One weight for queries, keys and values, and one for the MLP's gate and up. */
  readonly fusedProjections: boolean;
  /** A layer has so many MLPs, and each token goes through the best `perToken` of them; null: one MLP for all. */
  readonly experts: { readonly count: number; readonly perToken: number } | null;
  /** The output matrix is the embedding. */
  readonly tied: boolean;
  readonly maxPositions: number;
}
