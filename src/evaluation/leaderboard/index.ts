export { type WinCell, winCell } from "./comparisons.ts";
export { type LeaderboardOptions, leaderboardOf } from "./leaderboard.ts";
export {
  type BoardBenchmark,
  type BoardPart,
  benchmarkResultSchema,
  type ComparedPair,
  type Focus,
  type Leaderboard,
  type Lengths,
  leaderboardSchema,
  type Moved,
  type Overall,
  type PairComparison,
} from "./schema.ts";
export type { Area, BenchmarkResult, Column, Figure, Item, Measured } from "./table.ts";
export { standingName, unitOfDifference } from "./words.ts";
