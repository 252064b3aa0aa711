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
  const runs = new Map<number, Map<string, number>>();
  const whole = new Map<string, number>();
  for (const [index, text] of against.entries()) {
    const words = wordsOf(text);
    if (words.length === 0) continue;
    if (words.length < Math.min(leastWords, ngram)) {
      remember(whole, words.join(" "), index);
      continue;
    }
    const length = Math.min(ngram, words.length);
    const ofLength = runs.get(length) ?? new Map<string, number>();
    runs.set(length, ofLength);
    for (const run of runsOf(words, length)) remember(ofLength, run, index);
  }
  return texts.flatMap((text, index) => {
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
    return first === undefined ? [] : [{ index, with: first, overlap }];
  });
}

function remember(map: Map<string, number>, key: string, index: number): void {
  if (!map.has(key)) map.set(key, index);
}

function* runsOf(words: readonly string[], length: number): Generator<string> {
  for (let at = 0; at + length <= words.length; at += 1) yield words.slice(at, at + length).join(" ");
}
