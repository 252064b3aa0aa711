import { strip } from "./python-text.ts";

/** What stands for an answer that a filter doesn't find. */
const noAnswer = "[invalid]";

/**
 * lm-eval's filter `regex`: of all matches of a global pattern the one at `place` (from the end where negative), of that the first group
 * that holds something; the whole match where the pattern has no groups.
 */
export function regexFilter(pattern: RegExp, place: number, fallback = noAnswer): (text: string) => string {
  return (text) => {
    const match = [...text.matchAll(pattern)].at(place);
    if (match === undefined) return fallback;
    const groups = match.slice(1);
    // With one group an empty one is taken, too; of several the first that is not empty.
    const found = groups.length === 0 ? match[0] : groups.length === 1 ? (groups[0] ?? "") : groups.find(Boolean);
    return found === undefined ? fallback : strip(found);
  };
}

export interface Comparing {
  /** Taken out of both sides, one after another. */
  readonly ignored: readonly RegExp[];
  readonly ignoreCase: boolean;
  readonly ignorePunctuation: boolean;
}

/** ASCII's, as Python's `string.punctuation` lists it. */
const punctuation = /[!-/:-@[-`{-~]/g;

/** lm-eval's metric `exact_match`: 1 where both sides are the same text after what is to be ignored is taken out. */
export function exactMatch({ ignored, ignoreCase, ignorePunctuation }: Comparing) {
  const bare = (text: string): string => {
    let rest = text;
    for (const pattern of ignored) rest = rest.replace(pattern, "");
    if (ignoreCase) rest = rest.toLowerCase();
    return ignorePunctuation ? rest.replace(punctuation, "") : rest;
  };
  return (said: string, right: string): number => Number(bare(said) === bare(right));
}
