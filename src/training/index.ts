export type { StepMetrics } from "./metrics.ts";
export { type PreferenceRow, preferenceTask, type ReferencedRow } from "./preference.ts";
export * from "./reference.ts";
export * from "./rows.ts";
export { type PackedSequence, packSequences, sftTask } from "./sft.ts";
export type { MicroBatchResult, TrainingTask } from "./task.ts";
export { type TrainingOptions, type TrainingSummary, train } from "./train.ts";
export { drops, trainedNames } from "./trainable.ts";
