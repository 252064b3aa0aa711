export * from "./alpaca-eval/index.ts";
export * from "./arena-hard/index.ts";
export { eloPoints, fitBradleyTerry, type Strengths } from "./bradley-terry.ts";
export { pairKappa, type Vote } from "./kappa.ts";
export * from "./leaderboard/index.ts";
export { type Contrast, fitLogistic } from "./logistic.ts";
export { mean } from "./mean.ts";
export * from "./mt-bench/index.ts";
export { bootstrapMean, type Interval, type Resampling } from "./resampling.ts";
export { type SourceStrength, type SourceStrengths, sourceStrengths } from "./source-strengths.ts";
export {
  type Comparison,
  compare,
  type MeanReward,
  meanReward,
  meanRewards,
  type Reward,
  type Verdict,
  verdict,
} from "./statistics.ts";
export {
  type EvaluationSummary,
  evaluationSummarySchema,
  type ModelResponses,
  type ModelSummary,
  summarise,
} from "./summary.ts";
export * from "./tasks/index.ts";
