export { dequantise } from "./dequantise.ts";
export type { Gguf } from "./read.ts";
export { readGguf } from "./read.ts";
