export { type Candidate, isUsable, type PromptCandidates } from "./candidates.ts";
export {
  checkData,
  type DataCheck,
  type DataCheckOptions,
  type DataFinding,
  dataNotes,
  dataProblems,
} from "./check/index.ts";
export { type Contribution, contributions } from "./contributions.ts";
export type { Example, TextRole } from "./data-examples.ts";
export { type DataRow, dataFaults, readDataRows, sourceResponsesOf, type WantedTexts } from "./data-rows.ts";
export { flagsOf } from "./flags.ts";
export { type PlacedPrompt, readPromptSet } from "./prompt-sets.ts";
export { fromRow, readQuadruples, toRow, writeQuadruples } from "./quadruple-rows.ts";
export { type PlacedExamples, readExamples } from "./read-examples.ts";
export {
  type LeftOut,
  type LeftOutPrompt,
  leftOutReasons,
  type SelectedBest,
  type SelectedQuadruple,
  type Selection,
  type SelectionRule,
  selectBest,
  selectQuadruples,
  toQuadruple,
} from "./select.ts";
export { type SourceScale, sourceScales, withStandardScores } from "./source-scales.ts";
export { type PromptSplit, splitPrompts } from "./split.ts";
export { type LeftOutPromptRow, type TrainingPrompts, trainingPrompts, withoutDuplicates } from "./training-prompts.ts";
export { type DiffPart, wordDiff } from "./word-diff.ts";
