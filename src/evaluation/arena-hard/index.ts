export * from "./battles.ts";
export { markdownCounts, markdownStyle } from "./markdown.ts";
export {
  resampledStyleControl,
  type Style,
  type StyleControl,
  type StyledBattle,
  styleControlled,
  styleControlledV2,
} from "./style-control.ts";
export { tokenCounter } from "./tokens.ts";
export * from "./verdict.ts";
export { arenaInterval, arenaWinRate, type Battle, resampledWinRates } from "./win-rate.ts";
