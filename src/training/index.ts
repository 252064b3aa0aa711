export * from "./available-memory.ts";
export { staleCheckpoints } from "./checkpoints.ts";
export { decisiveFields } from "./decisive.ts";
export { flopCounter, type TrainedPart, type TrainingFlops } from "./flops.ts";
export { holdOut, promptTokensOf } from "./held-out.ts";
export { packRows } from "./lazy-packing.ts";
export * from "./lazy-rows.ts";
export * from "./lazy-task.ts";
export type { MetricsSink } from "./logging/sink.ts";
export { tensorBoardSink } from "./logging/tensorboard.ts";
export { type WandbOptions, type WandbRun, wandbSink } from "./logging/wandb.ts";
export * from "./memory-need.ts";
export type { StepMetrics } from "./metrics.ts";
export * from "./mismatched.ts";
export { type MovingReference, movingReference, type ReferenceSync } from "./moving-reference.ts";
export { shuffled } from "./order.ts";
export { preferenceTask } from "./preference.ts";
export { chromeTrace, ownTimes, profileTable } from "./profile.ts";
export * from "./reference.ts";
export type { PreferenceRow, ReferencedRow } from "./response-table.ts";
export { type PlacedRow, type RowFile, writeRowFile } from "./row-file.ts";
export * from "./rows.ts";
export { type PackedSequence, packSequences, sftTask } from "./sft.ts";
export type { MicroBatchResult, TaskOptions, TrainingTask, WholeBatch } from "./task.ts";
export {
  checkpointDigest,
  type ResolvedOptimisation,
  type TrainingOptions,
  type TrainingSummary,
  train,
} from "./train.ts";
export { trainedNames } from "./trainable.ts";
