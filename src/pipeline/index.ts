export { type Converted, type DataCheck, dataNotes, dataProblems, rowForms } from "../preferences/index.ts";
export { type Recovery, recoverLedger } from "../store/index.ts";
export type { AgreementFigures } from "./agreement/figures.ts";
export { type AgreementOptions, type AgreementReport, agreementFiles, rewardAgreement } from "./agreement/index.ts";
export { agreementMarkdown as agreementText } from "./agreement/text.ts";
export { type ArchiveSummary, type ExportOptions, exportRun } from "./archive/export.ts";
export { type ImportOptions, importRun } from "./archive/import.ts";
export { type Chat, type ChatOptions, fusedOrModel, openChat } from "./chat.ts";
export { type CheckOptions, checkFile } from "./check-data.ts";
export { type Collected, type CollectOptions, collectRun } from "./collect.ts";
export { nextCommand, readyStages, runAll, runCommand, type StageCommand } from "./commands.ts";
export { type ConvertFileOptions, convertFile } from "./convert-data.ts";
export { type DataTrainingOptions, trainOnData } from "./data-training/index.ts";
export type { DataTrainingReport } from "./data-training/report.ts";
export { type DatasetOptions, type DatasetSummary, exportDataset } from "./dataset/index.ts";
export { type DoctorOptions, diagnose, type Finding } from "./doctor/index.ts";
export { measureTask } from "./evaluate/benchmarks/task.ts";
export type { Answering, Contestant, Evaluation } from "./evaluate/evaluation.ts";
export { evaluateSuite, type SuiteEvaluationOptions } from "./evaluate/index.ts";
export {
  comparisonWords,
  figureText,
  leaderboardPaths,
  mainTable,
  notOfficial,
  notOfficialWords,
  overallTable,
  readLeaderboard,
  signedText,
  standingText,
  writeLeaderboard,
} from "./evaluate/tables/index.ts";
export { type LmEvalResults, lmEvalResults } from "./evaluate/tasks/lm-eval-results.ts";
export { type TaskRecipe, type TaskRun, type TaskSample, taskRuns } from "./evaluate/tasks/runs.ts";
export { evaluateModels, latestComparison } from "./evaluating.ts";
export * from "./events.ts";
export { initRun } from "./init.ts";
export { type InspectOptions, inspectTexts, inspectToPage } from "./inspect/index.ts";
export { type LazySource, lazyModel } from "./lazy-source.ts";
export { type LeaderboardRow, leaderboard } from "./leaderboard/index.ts";
export { visible } from "./report/escape.ts";
export { reportRun, runSummary } from "./reporting.ts";
export { Interrupted, openRun, type Run, type RunOptions, runPaths } from "./run.ts";
export { drawMissing, type SamplingPlan, sampleSources } from "./sampling.ts";
export { scoreLabel, scoreMissing } from "./scoring.ts";
export { selectForSft, selectForWrpo } from "./selecting.ts";
export { runStages, sampleTarget } from "./stages.ts";
export { type RunStatus, runStatus, type StageStatus } from "./status.ts";
export { runSweep, type SweepOptions } from "./sweep/index.ts";
export { fusedOf, measuredWhere, type VariantResult } from "./sweep/results.ts";
export { isSweep, type SweepStatus, sweepStatus, type VariantStatus } from "./sweep/status.ts";
export type { SweepReport } from "./sweep/write.ts";
export { tuneSft, tuneWrpo } from "./tuning.ts";
