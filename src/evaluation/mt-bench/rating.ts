const inDouble = /\[\[(\d+\.?\d*)\]\]/;
const inSingle = /\[(\d+\.?\d*)\]/;

/** What FastChat writes where a judge gave no rating; it counts nowhere. */
export const noRating = -1;

/** The rating in a judge's words, as FastChat reads it: the first number in double brackets, else in single ones; null for none. */
export function readRating(words: string): number | null {
  const found = inDouble.exec(words) ?? inSingle.exec(words);
  return found === null ? null : Number(found[1]);
}

/** What a judge says of two answers: A is better, B is better, or neither. */
export type PairVerdict = "A" | "B" | "C";

/** The verdict on two answers in a judge's words, as FastChat reads it: [[A]] before [[B]] before [[C]], wherever they stand; null for none. */
export const readPairVerdict = (words: string): PairVerdict | null =>
  (["A", "B", "C"] as const).find((label) => words.includes(`[[${label}]]`)) ?? null;
