export type { BundleSpan } from "./bundle-attention.ts";
export { bundleAttention, plainAttention } from "./bundle-attention.ts";
export type { DecoderConfig, LayerKind, Rope } from "./config.ts";
export * from "./decoder.ts";
export { families } from "./families/index.ts";
export * from "./load.ts";
export * from "./locate/index.ts";
export { saveModel } from "./save.ts";
export { softcap } from "./softcap.ts";
