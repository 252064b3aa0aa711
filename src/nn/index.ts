export { clipGradients } from "./clip.ts";
export * from "./optimiser.ts";
export * from "./safetensors.ts";
export * from "./schedules.ts";
