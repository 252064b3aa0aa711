import type { Constraint } from "../../generation/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";

const quote = 0x22;
/** Quotes before the first character of the reasons: those of their name, and the one that opens them. */
const opening = 3;

/**
 * Constraints of answers with reasons that end after so many tokens: from then on only a token that begins by closing them may come, and the
 * rating always has its place. A count in the pattern would do the same, with a mask for each number in it.
 */
export function endingReasons(
  inner: () => Constraint,
  tokenizer: Tokenizer,
  vocabularySize: number,
  most: number,
): () => Constraint {
  const closing = new Uint32Array(Math.ceil(vocabularySize / 32));
  for (let id = 0; id < vocabularySize; id++)
    if (tokenizer.tokenBytes(id)[0] === quote) closing[id >>> 5]! |= 1 << (id & 31);
  return () => {
    const constraint = inner();
    let quotes = 0;
    let tokens = 0;
    return {
      allowed() {
        const allowed = constraint.allowed();
        if (quotes !== opening || tokens < most) return allowed;
        const ending = allowed.map((word, k) => word & closing[k]!);
        // Within a character of several tokens it comes to its end first.
        return ending.some((word) => word !== 0) ? ending : allowed;
      },
      accept(token) {
        constraint.accept(token);
        if (quotes === opening) tokens += 1;
        for (const byte of tokenizer.tokenBytes(token)) if (byte === quote) quotes += 1;
      },
    };
  };
}
