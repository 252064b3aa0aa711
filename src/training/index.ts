export type { StepMetrics } from "./metrics.ts";
export { type MovingReference, movingReference, type ReferenceSync } from "./moving-reference.ts";
export { preferenceTask } from "./preference.ts";
export * from "./reference.ts";
export type { PreferenceRow, ReferencedRow } from "./response-table.ts";
export * from "./rows.ts";
export { type PackedSequence, packSequences, sftTask } from "./sft.ts";
export type { MicroBatchResult, TrainingTask, WholeBatch } from "./task.ts";
export { type TrainingOptions, type TrainingSummary, train } from "./train.ts";
