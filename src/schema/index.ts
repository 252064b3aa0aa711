export * from "./cache.ts";
export {
  type DataTrainingSettings,
  dataTrainingSettings,
  type PreferenceSettings,
  type SupervisedSettings,
} from "./data-training.ts";
export {
  type CallRecipe,
  type EndpointRecipe,
  endpointSchema,
  type PriceRecipe,
  type ScoringEndpointRecipe,
  type Thinking,
} from "./endpoint.ts";
export * from "./errors.ts";
export { makeFolder } from "./folder.ts";
export * from "./interfaces.ts";
export { issueWords, valueAt } from "./issue-words.ts";
export { type JsonLine, readJsonLines } from "./jsonl.ts";
export { referenceWords } from "./judge-mistakes.ts";
export * from "./key.ts";
export { type LedgerRecipe, ledgerSchema } from "./ledger.ts";
export { explainMemory } from "./memory.ts";
export * from "./nearest.ts";
export {
  type ObjectiveFields,
  type ObjectiveName,
  objectiveDefaults,
  objectiveFields,
  type PartRecipe,
  pairModifiers,
  type SettingsOf,
} from "./objectives.ts";
export { type LoraRecipe, loraSchema, type OptimiserName, optimiserDefaults } from "./optimisation.ts";
export { packageFile } from "./package-file.ts";
export * from "./philox.ts";
export type { PromptSetRecipe, TrainingPromptsRecipe } from "./prompts.ts";
export {
  type LoggingRecipe,
  type ModelRecipe,
  modelSchema,
  type OptimisationRecipe,
  type Precision,
  precisionSchema,
  type Recipe,
  type RecipeInput,
  type RewardRecipe,
  recipeSchema,
  type SftRecipe,
  type SourceRecipe,
  type SuiteUse,
  type WrpoRecipe,
} from "./recipe.ts";
export {
  type LoadedRecipe,
  lineInRecipe,
  loadRecipe,
  recipeJsonSchema,
  resolvedHeader,
  resolvedRecipe,
  resolvedYaml,
} from "./recipe-file.ts";
export type { Override } from "./recipe-overrides.ts";
export { type RecordedRecipe, recordedSchema } from "./recorded.ts";
export * from "./records.ts";
export { replaceFile } from "./replace-file.ts";
export { type Flag, flagWords } from "./response-flags.ts";
export { type RowFormName, rowFormNames } from "./row-forms.ts";
export { looksAtTarget, type SelectionRecipe } from "./selection.ts";
export { type ServerLimits, serverLimitsSchema } from "./server-limits.ts";
export {
  type BenchmarkRecipe,
  type BenchmarkRecipeOf,
  type ContestantRecipe,
  type JudgeOfSuite,
  type Suite,
  suiteSchema,
} from "./suite.ts";
export { type LoadedSuite, loadSuite, type SuiteOptions, suiteJsonSchema } from "./suite-file.ts";
export { isSuiteFile } from "./suite-name.ts";
export { type GridValue, type Sweep, sweepSchema } from "./sweep.ts";
export { type LoadedSweep, loadSweep, type SweepChanges, type SweepVariant, sweepJsonSchema } from "./sweep-file.ts";
export type { TaskFile } from "./task.ts";
export { type LoadedTaskFile, loadTaskFile } from "./task-file.ts";
export { utf8Text } from "./utf8.ts";
export { whenUsed } from "./when-used.ts";
