import type { Response, Score } from "../schema/index.ts";

/** A response y with its reward. */
export type Candidate = Response & Pick<Score, "value">;

/** Everything that was sampled and scored for one prompt x. */
export interface PromptCandidates {
  readonly promptId: string;
  /** Responses of all sources, in any order. */
  readonly sources: readonly Candidate[];
  /** Responses of the target itself, in any order. */
  readonly target: readonly Candidate[];
}

/** What becomes of responses that the token limit cut off. */
export type Unfinished = "keep" | "drop";

/** Whether a response says nothing: no text, or white space only. */
export const isEmpty = (candidate: Candidate): boolean => candidate.text.trim() === "";

/** Whether a response may be chosen. */
export const isUsable = (candidate: Candidate, unfinished: Unfinished): boolean =>
  !isEmpty(candidate) && (unfinished === "keep" || candidate.finish !== "length");

/**
 * The order among equal rewards. A response that ended by itself comes before one that the token limit cut off; beyond
 * that the content keys decide, which are digests: as good as a draw by lot, the same on every machine and in every
 * order of input, and favouring neither short nor long responses nor any source. (The source's name decides only
 * between two names of one model, which share their keys.)
 */
function amongEquals(a: Candidate, b: Candidate): number {
  return (
    Number(a.finish === "length") - Number(b.finish === "length") || order(a.key, b.key) || order(a.source, b.source)
  );
}

const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** The response with the highest reward; see `amongEquals` for ties. */
export function best(candidates: readonly Candidate[]): Candidate | undefined {
  return first(candidates, (a, b) => b.value - a.value || amongEquals(a, b));
}

/** The response with the lowest reward; see `amongEquals` for ties. */
export function worst(candidates: readonly Candidate[]): Candidate | undefined {
  return first(candidates, (a, b) => a.value - b.value || amongEquals(a, b));
}

function first(candidates: readonly Candidate[], compare: (a: Candidate, b: Candidate) => number) {
  let found: Candidate | undefined;
  for (const candidate of candidates) {
    if (!Number.isFinite(candidate.value)) throw new Error(`the reward of ${candidate.key} is ${candidate.value}`);
    if (found === undefined || compare(candidate, found) < 0) found = candidate;
  }
  return found;
}
