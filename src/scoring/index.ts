export * from "./bundle.ts";
export * from "./score.ts";
export { tokenLogProbs } from "./token-log-probs.ts";
