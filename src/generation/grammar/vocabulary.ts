import type { Tokenizer } from "../../tokenizers/index.ts";
import type { Automaton, Position } from "./automaton.ts";

/** The tokens of a vocabulary as a tree of their bytes. */
export interface Vocabulary {
  /** Words of a mask. */
  readonly words: number;
  readonly root: Branch;
}

interface Branch {
  /** Tokens that end here. */
  readonly tokens: number[];
  readonly bytes: number[];
  readonly branches: Branch[];
}

const newBranch = (): Branch => ({ tokens: [], bytes: [], branches: [] });

const known = new WeakMap<Tokenizer, Vocabulary>();

/** The tree of a tokenizer's tokens, made once; special tokens and those without bytes stand for no text. */
export function vocabularyOf(tokenizer: Tokenizer, size: number): Vocabulary {
  const found = known.get(tokenizer);
  if (found !== undefined) return found;
  const root = newBranch();
  for (let id = 0; id < Math.min(size, tokenizer.vocabularySize); id++) {
    if (tokenizer.isSpecial(id)) continue;
    const bytes = tokenizer.tokenBytes(id);
    if (bytes.length === 0) continue;
    let at = root;
    for (const byte of bytes) {
      let place = at.bytes.indexOf(byte);
      if (place < 0) {
        place = at.bytes.length;
        at.bytes.push(byte);
        at.branches.push(newBranch());
      }
      at = at.branches[place]!;
    }
    at.tokens.push(id);
  }
  const vocabulary = { words: Math.ceil(size / 32), root };
  known.set(tokenizer, vocabulary);
  return vocabulary;
}

/** The tokens with which a text can go on from a position, a bit each. */
export function tokensFrom({ root, words }: Vocabulary, automaton: Automaton, start: Position): Uint32Array {
  const mask = new Uint32Array(words);
  const visit = (branch: Branch, position: Position) => {
    for (const id of branch.tokens) mask[id >>> 5]! |= 1 << (id & 31);
    for (let k = 0; k < branch.bytes.length; k++) {
      const next = automaton.step(position, branch.bytes[k]!);
      if (next !== null) visit(branch.branches[k]!, next);
    }
  };
  visit(root, start);
  return mask;
}
