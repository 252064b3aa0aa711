export { type CopiedParts, copyLedger } from "./copy.ts";
export { type Draw, responseKey } from "./draws.ts";
export type { Garbage, Needed } from "./garbage.ts";
export type { Ledger, LedgerReader } from "./ledger.ts";
export { heldBy, holdFolder, type Lock, makeRunFolder, takeLock, type Writer } from "./lock.ts";
export { newestSchema } from "./migrations.ts";
export { hasLedger, openLedger, readLedger } from "./open.ts";
export type { PromptStore, StoredPrompt } from "./prompts.ts";
export {
  type InsertRows,
  type RunTable,
  runTables,
  type Snapshot,
  type StoredRow,
  type StoredValue,
} from "./raw-rows.ts";
export { type Recovery, recoverLedger } from "./recovery/recover.ts";
export type { ReferenceLogp, ReferenceLogpKey, ReferenceLogpStore } from "./reference-logps.ts";
export type { ResponseStore } from "./responses.ts";
export type { EvaluationResult, Json } from "./results.ts";
export type { JudgedResponse, ScoredPrompt, ScoredResponse, ScoreOutcome, ScoreStore } from "./scores.ts";
export type { StoredSelection } from "./selections.ts";
export type { StageCounts, StageRecord } from "./stages.ts";
export type { DrawStatus, ScoreStatus } from "./status.ts";
export type { Split, StageState, Tables } from "./tables.ts";
