export * from "./categories.ts";
export { noRating, type PairVerdict, readPairVerdict, readRating } from "./rating.ts";
export * from "./scores.ts";
