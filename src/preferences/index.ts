export { type Candidate, isUsable, type PromptCandidates } from "./candidates.ts";
export {
  checkData,
  type DataCheck,
  type DataCheckOptions,
  type DataFinding,
  dataNotes,
  dataProblems,
} from "./check/index.ts";
export { type Contribution, type Contributions, contributionCounter, contributions } from "./contributions.ts";
export { rowForms } from "./convert/forms.ts";
export { type Converted, type ConvertOptions, convertData } from "./convert/index.ts";
export type { Example, TextRole } from "./data-examples.ts";
export { type DataRow, dataFaults, readDataRows, sourceResponsesOf, type WantedTexts } from "./data-rows.ts";
export { flagsOf } from "./flags.ts";
export { type GradedResponse, type GradedRow, readGradedRows } from "./graded-rows.ts";
export { type LengthEffect, lengthEffectFit } from "./length-effect.ts";
export { type Pair, writePairs } from "./pair-rows.ts";
export { checksOf, columnsOf, type PlacedPrompt, readPromptSet } from "./prompt-sets.ts";
export { fromRow, readQuadruples, toRow, writeQuadruples } from "./quadruple-rows.ts";
export { type PlacedExamples, readExamples } from "./read-examples.ts";
export {
  type Agreement,
  kendall,
  type LongerWins,
  type RewardStatistics,
  rewardStatistics,
} from "./reward-statistics.ts";
export {
  type Chosen,
  type LeftOutPrompt,
  type SelectedBest,
  type SelectedPair,
  type SelectedQuadruple,
  type Selection,
  selectBest,
  selectPairs,
  selectQuadruples,
  toQuadruple,
  type Watch,
} from "./select.ts";
export { type LeftOut, leftOutReasons, type SelectionRule } from "./selection/rule.ts";
export { type SourceScale, sourceScales, withStandardScores } from "./source-scales.ts";
export { type PromptSplit, splitPrompts } from "./split.ts";
export { type LeftOutPromptRow, type TrainingPrompts, trainingPrompts, withoutDuplicates } from "./training-prompts.ts";
export { type Voting, withVotes } from "./votes.ts";
export { type DiffPart, wordDiff } from "./word-diff.ts";
