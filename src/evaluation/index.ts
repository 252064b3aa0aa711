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
