import type { ScorePart } from "../schema/index.ts";
import { type Candidate, isUsable, type PromptCandidates, type Unfinished } from "./candidates.ts";

/** How the rewards of a recipe vote. */
export interface Voting {
  /** The value that each reward gives a response, by the reward's name; a reward that says nothing of it is missing. */
  readonly valuesOf: (parts: readonly ScorePart[]) => ReadonlyMap<string, number>;
  /** Whether a gate is closed before the response. */
  readonly isShut: (parts: readonly ScorePart[]) => boolean;
  /** Of each reward that votes. */
  readonly weights: ReadonlyMap<string, number>;
  /** Responses that can't be chosen are nobody's rivals. */
  readonly unfinished: Unfinished;
}

/**
 * The candidates with the share of votes that they win for values. For each two responses to the prompt, sources' and target's together,
 * every reward votes with its weight for the one to which it gives more, half for each where it gives both the same; a response
 * behind a closed gate loses all votes to one that is not. The value is what a response wins of the votes between it and its rivals;
 * 1/2 where there are none.
 */
export function withVotes(prompt: PromptCandidates, voting: Voting): PromptCandidates {
  const all = [...prompt.sources, ...prompt.target];
  const shares = voteShares(all, voting);
  const [sources, target] = [prompt.sources.length, prompt.target.length];
  const valued = (some: readonly Candidate[], from: number) =>
    some.map((candidate, at) => ({ ...candidate, value: shares[from + at]! }));
  return { ...prompt, sources: valued(prompt.sources, 0), target: target === 0 ? [] : valued(prompt.target, sources) };
}

/** Values are equal but for what the order of a sum leaves in their last bits. */
const tolerance = 1e-12;

function voteShares(candidates: readonly Candidate[], { valuesOf, isShut, weights, unfinished }: Voting): number[] {
  const known = candidates.map(({ parts = [] }) => ({ values: valuesOf(parts), shut: isShut(parts) }));
  const mayWin = candidates.map((candidate) => isUsable(candidate, unfinished));
  const won = candidates.map(() => 0);
  const cast = candidates.map(() => 0);
  for (const [reward, weight] of weights) {
    const values = known.map((one) => one.values.get(reward) ?? Number.NaN);
    const rivals = values.flatMap((value, at) => (mayWin[at] && !Number.isNaN(value) ? [at] : []));
    const open = Float64Array.from(rivals.filter((at) => !known[at]!.shut).map((at) => values[at]!)).sort();
    const shut = rivals.length - open.length;
    for (const [at, value] of values.entries()) {
      if (Number.isNaN(value)) continue;
      const self = mayWin[at] ? 1 : 0;
      const near = tolerance * Math.abs(value);
      const below = firstAbove(open, value - near, true);
      const equal = firstAbove(open, value + near, false) - below;
      won[at]! += weight * (known[at]!.shut ? (shut - self) / 2 : shut + below + (equal - self) / 2);
      cast[at]! += weight * (rivals.length - self);
    }
  }
  return won.map((votes, i) => (cast[i] === 0 ? 0.5 : votes / cast[i]!));
}

/** How many of the sorted values come before the first that is above `limit`, or with `included` at it. */
function firstAbove(sorted: Float64Array, limit: number, included: boolean): number {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (included ? sorted[middle]! >= limit : sorted[middle]! > limit) to = middle;
    else from = middle + 1;
  }
  return from;
}
