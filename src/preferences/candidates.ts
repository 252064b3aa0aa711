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

const descending = (a: Candidate, b: Candidate) => b.value - a.value || amongEquals(a, b);

/** The response with the highest reward; see `amongEquals` for ties. */
export function best(candidates: readonly Candidate[]): Candidate | undefined {
  return first(candidates, descending);
}

/** How several responses of the sources are chosen. */
export interface SeveralBest {
  readonly count: number;
  /** The best of each of the best sources, or the best of all responses. */
  readonly of: "different_sources" | "any_source";
}

/**
 * The `count` responses with the highest rewards, best first, none with the text of a better one; fewer where there are no more.
 * The first is that of `best`.
 */
export function severalBest(candidates: readonly Candidate[], { count, of }: SeveralBest): Candidate[] {
  const chosen: Candidate[] = [];
  for (const candidate of candidates) requireReward(candidate);
  for (const candidate of [...candidates].sort(descending)) {
    if (chosen.length === count) break;
    const taken = chosen.some(
      ({ text, source }) => text === candidate.text || (of === "different_sources" && source === candidate.source),
    );
    if (!taken) chosen.push(candidate);
  }
  return chosen;
}

/** The response with the lowest reward; see `amongEquals` for ties. */
export function worst(candidates: readonly Candidate[]): Candidate | undefined {
  return first(candidates, (a, b) => a.value - b.value || amongEquals(a, b));
}

function requireReward({ key, value }: Candidate): void {
  if (!Number.isFinite(value)) throw new Error(`the reward of ${key} is ${value}`);
}

function first(candidates: readonly Candidate[], compare: (a: Candidate, b: Candidate) => number) {
  let found: Candidate | undefined;
  for (const candidate of candidates) {
    requireReward(candidate);
    if (found === undefined || compare(candidate, found) < 0) found = candidate;
  }
  return found;
}
