export * from "./bundle.ts";
export * from "./score.ts";
export { keptLogitBytes, logitsAtATime, tokenAlignments, tokenLogProbs } from "./token-log-probs.ts";
