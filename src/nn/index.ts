export { checkpointed } from "./checkpoint-activations.ts";
export { clipGradNorm } from "./clip.ts";
export * from "./optimiser.ts";
export * from "./safetensors.ts";
export type { SafetensorsHeader, StoredTensor } from "./safetensors-header.ts";
export { readSafetensorsHeader } from "./safetensors-header.ts";
export * from "./schedules.ts";
export * from "./state-dict.ts";
export * from "./write-safetensors.ts";
