export { dequantise } from "./dequantise.ts";
export type { GgufArray, GgufValue } from "./metadata.ts";
export type { Gguf } from "./read.ts";
export { readGguf } from "./read.ts";
export type { GgufTensor } from "./tensors.ts";
export type { TensorType } from "./types.ts";
