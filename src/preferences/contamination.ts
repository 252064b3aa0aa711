import { wordsOf } from "./words.ts";

/** A text that shares a run of words with one of the texts that it must not know. */
export interface Contamination {
  readonly index: number;
  /** The first of them that it shares a run with. */
  readonly with: number;
  /** Share of the text's own runs that stand in one of them. */
  readonly overlap: number;
}

/** A shorter text says too little: it counts only where it is the whole of the other, too. */
const leastWords = 5;

/**
 * Texts that share a run of `ngram` words with one of `against`, case and punctuation aside; of a text in `against` that
 * is shorter, all of its words. (The test of the GPT-3 report, appendix C, which takes 13 words.)
 */
export function contaminations(texts: readonly string[], against: readonly string[], ngram: number): Contamination[] {
  const known = knownRuns(ngram);
  for (const text of against) known.add(text);
  return texts.flatMap((text, index) => {
    const found = known.find(text);
    return found === undefined ? [] : [{ index, ...found }];
  });
}

/** Texts whose runs of words are known. It holds those runs, and nothing of what is looked up. */
interface KnownRuns {
  /** Adds a text; the first has the number 0. */
  add(text: string): void;
  /** The first known text that this one shares a run with. */
  find(text: string): Omit<Contamination, "index"> | undefined;
}

/** See `contaminations`. */
export function knownRuns(ngram: number): KnownRuns {
  const runs = new Map<number, Map<string, number>>();
  const whole = new Map<string, number>();
  let count = 0;
  return {
    add(text) {
      const index = count;
      count += 1;
      const words = wordsOf(text);
      if (words.length === 0) return;
      if (words.length < Math.min(leastWords, ngram)) {
        remember(whole, words.join(" "), index);
        return;
      }
      const length = Math.min(ngram, words.length);
      const ofLength = runs.get(length) ?? new Map<string, number>();
      runs.set(length, ofLength);
      for (const run of runsOf(words, length)) remember(ofLength, run, index);
    },
    find(text) {
      const words = wordsOf(text);
      let overlap = 0;
      let first = whole.get(words.join(" "));
      if (first !== undefined) overlap = 1;
      for (const [length, known] of runs) {
        const own = [...runsOf(words, length)];
        const shared = own.filter((run) => known.has(run));
        if (shared.length === 0) continue;
        first ??= known.get(shared[0]!);
        overlap = Math.max(overlap, shared.length / own.length);
      }
      return first === undefined ? undefined : { with: first, overlap };
    },
  };
}

function remember(map: Map<string, number>, key: string, index: number): void {
  if (!map.has(key)) map.set(key, index);
}

function* runsOf(words: readonly string[], length: number): Generator<string> {
  for (let at = 0; at + length <= words.length; at += 1) yield words.slice(at, at + length).join(" ");
}
