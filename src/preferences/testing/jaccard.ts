import { wordsOf } from "../words.ts";

/** Jaccard similarity of the pieces of five characters, by sets of texts. */
export function similarity(a: string, b: string): number {
  const [one, other] = [a, b].map((text) => {
    const plain = wordsOf(text).join(" ");
    return new Set(Array.from({ length: Math.max(1, plain.length - 4) }, (_, at) => plain.slice(at, at + 5)));
  });
  const common = [...one!].filter((piece) => other!.has(piece)).length;
  return common / (one!.size + other!.size - common);
}
