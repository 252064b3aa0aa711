import type { Merge } from "./tokenizer-json.ts";

/**
 * The merges that a SentencePiece vocabulary implies: every way to put a token together from two others, best first.
 * The order is that of Hugging Face's conversion: by the token's score, then by the length of the left and of the right
 * part (in characters), longest first; then by the token's place in the list, and the ids of its parts.
 *
 * @param tokens the vocabulary in id order.
 * @param score of the token with an id; higher merges first.
 */
export function mergesFromVocabulary(tokens: readonly string[], score: (id: number) => number): Merge[] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const found: { merge: Merge; score: number; left: number; right: number }[] = [];
  for (const [id, token] of tokens.entries()) {
    const characters = Array.from(token);
    const splits: { merge: Merge; leftId: number; rightId: number; left: number; right: number }[] = [];
    let at = 0;
    for (let left = 1; left < characters.length; left++) {
      at += characters[left - 1]!.length;
      const leftPart = token.slice(0, at);
      const leftId = ids.get(leftPart);
      if (leftId === undefined) continue;
      const rightPart = token.slice(at);
      const rightId = ids.get(rightPart);
      if (rightId === undefined) continue;
      splits.push({ merge: [leftPart, rightPart], leftId, rightId, left, right: characters.length - left });
    }
    splits.sort((a, b) => a.leftId - b.leftId || a.rightId - b.rightId);
    for (const { merge, left, right } of splits) found.push({ merge, score: score(id), left, right });
  }
  // Array.prototype.sort is stable, which keeps the order of equals.
  found.sort((a, b) => b.score - a.score || b.left - a.left || b.right - a.right);
  return found.map(({ merge }) => merge);
}
