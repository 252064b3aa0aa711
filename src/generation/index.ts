export * from "./generate.ts";
export * from "./random-stream.ts";
export type { SamplerSettings } from "./sampler.ts";
export { sampleTokens } from "./sampler.ts";
export { embeddedSource } from "./source.ts";
