import type { Candidate } from "../candidates.ts";
import { emptyHashed, emptyPieces, exactSimilarity, writeHashed, writeMarks, writePieces } from "../pieces.ts";

/** Whether two responses have the same text, or one that is as similar as `maxSimilarity`, or more. */
export function alikeBy(maxSimilarity = 1): (a: Candidate, b: Candidate) => boolean {
  if (maxSimilarity >= 1) return (a, b) => a.text === b.text;
  const similarity = exactSimilarity();
  const [hashedA, hashedB] = [emptyHashed(), emptyHashed()];
  const marked = rememberedMarks();
  return ({ text: a }, { text: b }) => {
    if (a === b) return true;
    const [one, other] = [marked(a), marked(b)];
    if (mostSimilar(one, other) < maxSimilarity) return false;
    writeHashed(a, hashedA);
    writeHashed(b, hashedB);
    return similarity(hashedA, hashedB) >= maxSimilarity;
  };
}

/** How many pieces a text has, and a map of 8,192 bits with one set for each. */
interface Marked {
  text: string;
  count: number;
  readonly marks: Uint32Array;
}

const markWords = 256;

/** A row compares its few texts with one another: more are not kept. */
const remembered = 16;

function rememberedMarks(): (text: string) => Marked {
  const kept: Marked[] = [];
  const pieces = emptyPieces();
  let next = 0;
  let latest: Marked | undefined;
  return (text) => {
    const known = kept.find((one) => one.text === text);
    if (known !== undefined) {
      latest = known;
      return known;
    }
    // The other one of a pair is still in use.
    if (kept[next] !== undefined && kept[next] === latest) next = (next + 1) % remembered;
    const fresh = kept[next] ?? { text, count: 0, marks: new Uint32Array(markWords) };
    kept[next] = fresh;
    next = (next + 1) % remembered;
    latest = fresh;
    writePieces(text, pieces);
    writeMarks(pieces, fresh.marks);
    fresh.text = text;
    fresh.count = pieces.count;
    return fresh;
  };
}

/**
 * No less than the similarity of two texts, at a tenth of the cost. A bit that only one of them has set is a piece at least
 * that only this one has: with so many of its own each, what they may have in common at most is the rest of the one that has less left.
 */
function mostSimilar(a: Marked, b: Marked): number {
  let onlyA = 0;
  let onlyB = 0;
  for (let at = 0; at < markWords; at += 1) {
    const bitsOfA = a.marks[at]!;
    const bitsOfB = b.marks[at]!;
    onlyA += ones(bitsOfA & ~bitsOfB);
    onlyB += ones(bitsOfB & ~bitsOfA);
  }
  const common = Math.min(a.count - onlyA, b.count - onlyB);
  return common / (onlyA + onlyB + common);
}

/** How many bits are set. */
function ones(bits: number): number {
  let x = bits - ((bits >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
