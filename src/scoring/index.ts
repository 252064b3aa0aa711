export * from "./bundle.ts";
export { type Continuation, continuationLogProbs } from "./continuations.ts";
export { contextParts, type EncodedPair, encodePair, type PlainReading, plainReading } from "./encode-pair.ts";
export * from "./score.ts";
export { keptLogitBytes, logitsAtATime, tokenAlignments, tokenLogProbs } from "./token-log-probs.ts";
