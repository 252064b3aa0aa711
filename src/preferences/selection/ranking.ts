import type { Candidate } from "../candidates.ts";

export interface RankingRule {
  /** Rewards that differ by this much at most count as equal; 0 unless given. */
  readonly nearEqual?: number;
  /** Who comes first among equals, see `Ranking`; `lot` unless given. */
  readonly amongEquals?: "lot" | "shortest" | "like_length";
  /** What a thousand characters of a response cost of its reward, or below 0 add to it; 0 unless given. */
  readonly lengthPenalty?: number;
}

/**
 * The order of responses by their worth: the reward, less what their length costs. Among those that are worth as much as the
 * best (or the worst), or nearly so, these decide, each where those before it don't:
 *
 * 1. A response that ended by itself comes before one that the token limit cut off.
 * 2. `shortest`: the one of fewer characters. `like_length`: of dispreferred responses the one nearest in length to the preferred.
 * 3. The content keys, which are digests: as good as a draw by lot, the same on every machine and in every order of input, and
 *    favouring neither short nor long responses nor any source. (The source's name decides only between two names of one
 *    model, which share their keys.)
 */
export interface Ranking {
  worth(candidate: Candidate): number;
  best(candidates: readonly Candidate[]): Candidate | undefined;
  /** One with the highest worth: what `best` measures the others by. */
  highest(candidates: readonly Candidate[]): Candidate | undefined;
  /** Of all but `preferred`, the response with the lowest worth. */
  worst(candidates: readonly Candidate[], preferred?: Candidate): Candidate | undefined;
}

export function rankingOf({ nearEqual = 0, amongEquals = "lot", lengthPenalty = 0 }: RankingRule): Ranking {
  const worth = ({ value, text }: Candidate) =>
    lengthPenalty === 0 ? value : value - (lengthPenalty * text.length) / 1000;

  const lengthRank = ({ text }: Candidate, like: Candidate | undefined) => {
    if (amongEquals === "shortest") return text.length;
    return amongEquals === "lot" || like === undefined ? 0 : Math.abs(text.length - like.text.length);
  };

  const amongEqual = (a: Candidate, b: Candidate, like: Candidate | undefined) =>
    Number(a.finish === "length") - Number(b.finish === "length") ||
    lengthRank(a, like) - lengthRank(b, like) ||
    order(a.key, b.key) ||
    order(a.source, b.source);

  function highest(candidates: readonly Candidate[], sign: 1 | -1, preferred?: Candidate): Candidate | undefined {
    let found: Candidate | undefined;
    let most = Number.NEGATIVE_INFINITY;
    for (const candidate of candidates) {
      const { key, value } = candidate;
      if (!Number.isFinite(value)) throw new Error(`the reward of ${key} is ${value}`);
      if (candidate === preferred) continue;
      const own = sign * worth(candidate);
      if (found !== undefined && own <= most) continue;
      most = own;
      found = candidate;
    }
    return found;
  }

  function first(candidates: readonly Candidate[], sign: 1 | -1, preferred?: Candidate): Candidate | undefined {
    let found = highest(candidates, sign, preferred);
    if (found === undefined) return undefined;
    // 0.3 - 0.2 is a little less than 0.1 in binary.
    const least = sign * worth(found) - nearEqual * (1 + 1e-9);
    for (const candidate of candidates) {
      if (candidate === found || sign * worth(candidate) < least || candidate === preferred) continue;
      if (amongEqual(candidate, found, preferred) < 0) found = candidate;
    }
    return found;
  }

  return {
    worth,
    best: (candidates) => first(candidates, 1),
    highest: (candidates) => highest(candidates, 1),
    worst: (candidates, preferred) => first(candidates, -1, preferred),
  };
}

const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
