import type { Candidate } from "../candidates.ts";
import { similarity } from "../near-duplicates.ts";

/** Whether two responses have the same text, or one that is as similar as `maxSimilarity`, or more. */
export const alikeBy =
  (maxSimilarity = 1) =>
  (a: Candidate, b: Candidate): boolean =>
    a.text === b.text || (maxSimilarity < 1 && similarity(a.text, b.text) >= maxSimilarity);
