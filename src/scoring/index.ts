export * from "./bundle.ts";
export * from "./score.ts";
export { tokenAlignments, tokenLogProbs } from "./token-log-probs.ts";
