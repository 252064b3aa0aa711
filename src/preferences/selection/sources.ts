import type { Candidate } from "../candidates.ts";
import type { Ranking } from "./ranking.ts";

export interface SourceChoice {
  /** The sources that take part (paper, Tables 4 and 9); all unless given. */
  readonly names?: readonly string[];
  /** How many responses of the sources stand for y_ws. */
  readonly count: number;
  /** Whose: the best of each of the best sources, or the best of all responses. */
  readonly of: "different_sources" | "any_source";
  /** The place in that order of the first of them (Table 9: 1 and 2); 1 unless given. */
  readonly rank?: number;
}

/** The responses of the sources that take part. */
export const ofGroup = (candidates: readonly Candidate[], { names }: SourceChoice): readonly Candidate[] =>
  names === undefined ? candidates : candidates.filter(({ source }) => names.includes(source));

/**
 * The responses in the order of the choice, the best first: no source twice where they are of different ones, and none that is
 * alike to one before. Texts cost the most, so that only those are compared that would come next.
 */
export function* ranked(
  candidates: readonly Candidate[],
  { of }: Pick<SourceChoice, "of">,
  { best, highest }: Pick<Ranking, "best" | "highest">,
  alike: (a: Candidate, b: Candidate) => boolean,
): Generator<Candidate> {
  const before: Candidate[] = [];
  const isAlike = (candidate: Candidate) => before.some((one) => alike(candidate, one));
  let left = candidates;
  const without = (gone: Candidate) => left.filter((other) => other !== gone);
  let measure: Candidate | undefined;
  for (;;) {
    // An alike one is no measure for who is nearly equal, either.
    const top = highest(left);
    if (top === undefined) return;
    if (top !== measure && isAlike(top)) {
      left = without(top);
      continue;
    }
    measure = top;
    const next = best(left)!;
    if (next !== top && isAlike(next)) {
      left = without(next);
      continue;
    }
    yield next;
    before.push(next);
    measure = undefined;
    left = of === "different_sources" ? left.filter(({ source }) => source !== next.source) : without(next);
  }
}

/** `count` responses from the place `rank` on, the best first; undefined where there are fewer. */
export function sourcesChosen(
  inOrder: Iterable<Candidate>,
  { count, rank = 1 }: Pick<SourceChoice, "count" | "rank">,
): [Candidate, ...Candidate[]] | undefined {
  const chosen: Candidate[] = [];
  let place = 0;
  for (const candidate of inOrder) {
    place += 1;
    if (place >= rank) chosen.push(candidate);
    if (chosen.length === count) return chosen as [Candidate, ...Candidate[]];
  }
  return undefined;
}
