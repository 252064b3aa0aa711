/** How positions turn queries and keys. */
export interface Rope {
  readonly theta: number;
  /** Stretches the positions: all alike (`linear`), or by wavelength as in Llama 3.1. */
  readonly scaling:
    | { readonly kind: "none" }
    | { readonly kind: "linear"; readonly factor: number }
    | {
        readonly kind: "llama3";
        readonly factor: number;
        readonly lowFrequencyFactor: number;
        readonly highFrequencyFactor: number;
        readonly originalPositions: number;
      };
}

/** What differs between the layers of one model. */
export interface LayerKind {
  readonly rope: Rope;
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
  readonly layers: readonly LayerKind[];
  readonly activation: "silu" | "gelu_tanh";
  readonly normEpsilon: number;
  /** Gemma stores its norm weights less one. */
  readonly normOffset: 0 | 1;
  /** Gemma scales the embeddings by sqrt(hidden size). */
  readonly embeddingScale: number;
  /** Scores are q·k times this. */
  readonly attentionScale: number;
  readonly queryKeyValueBias: boolean;
  /** RMS norm of each head's query and key before the rotation. */
  readonly queryKeyNorm: boolean;
  /** Norms after attention and MLP too, before the residual is added. */
  readonly sandwichNorms: boolean;
  /** The output matrix is the embedding. */
  readonly tied: boolean;
  readonly maxPositions: number;
}
