export type { BundleSpan } from "./bundle-attention.ts";
export { bundleAttention, plainAttention } from "./bundle-attention.ts";
export type { DecoderConfig, LayerKind, Rope } from "./config.ts";
export * from "./decoder.ts";
