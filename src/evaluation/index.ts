export type { Interval, Resampling } from "./resampling.ts";
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
