export type { Constraint } from "./constraint.ts";
export * from "./engine.ts";
export * from "./generate.ts";
export { constraintsOf, type OutputForm } from "./grammar/index.ts";
export type { TokenLogProb } from "./log-probs.ts";
export * from "./random-stream.ts";
export type { Draw, SamplerSettings } from "./sampler.ts";
export { sampleTokens } from "./sampler.ts";
export { embeddedSource } from "./source.ts";
