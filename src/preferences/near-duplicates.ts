import { wordsOf } from "./words.ts";

const pieceLength = 5;
const hashes = 128;

/** Two texts of which the later is much like the earlier. */
export interface NearDuplicate {
  readonly index: number;
  /** The text before it that it is like, and that stays. */
  readonly of: number;
  readonly similarity: number;
}

/** Texts by their number: a list, or what reads them from a disk. */
interface Texts {
  readonly length: number;
  at(index: number): string | undefined;
}

/**
 * Texts whose Jaccard similarity to an earlier one that stays is at least `threshold`: the share of pieces of five
 * characters that they have in common, case, punctuation and white space aside. Candidates come from MinHash signatures in
 * bands (Broder 1997; Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4), of which a pair at the threshold is
 * missed once in a hundred times at most; every candidate is compared exactly, so that no unlike text is named. Memory: for
 * each text a byte of each hash and 8 to 16 bytes for each band, nothing of its pieces.
 */
export function nearDuplicates(texts: Texts, threshold: number): NearDuplicate[] {
  const rows = rowsOfBand(threshold);
  const bands = Array.from({ length: Math.floor(hashes / rows) }, () => bandOf(texts.length));
  const sketches = new Uint8Array(texts.length * hashes);
  const sizes = new Uint32Array(texts.length);
  const leastAlike = hashes * Math.max(0, threshold - margin * Math.sqrt((threshold * (1 - threshold)) / hashes));
  const signature = new Uint32Array(hashes);
  const found: NearDuplicate[] = [];
  const mayBe = (index: number, of: number): boolean => {
    const [small, large] = [Math.min(sizes[index]!, sizes[of]!), Math.max(sizes[index]!, sizes[of]!)];
    if (small < threshold * large) return false;
    let alike = 0;
    for (let i = 0; i < hashes; i += 1) if (sketches[index * hashes + i] === sketches[of * hashes + i]) alike += 1;
    return alike >= leastAlike;
  };
  for (let index = 0; index < texts.length; index += 1) {
    const own = piecesOf(texts.at(index)!);
    sizes[index] = own.size;
    sign(own, signature);
    sketches.set(signature, index * hashes);
    const keys = bands.map((_, band) => keyOf(signature, band * rows, rows));
    const candidates = new Set(bands.flatMap((band, at) => band.of(keys[at]!)));
    const best = [...candidates]
      .filter((of) => mayBe(index, of))
      .map((of) => ({ index, of, similarity: jaccard(own, piecesOf(texts.at(of)!)) }))
      .filter(({ similarity }) => similarity >= threshold)
      .sort((a, b) => b.similarity - a.similarity || a.of - b.of)[0];
    if (best !== undefined) found.push(best);
    else for (const [at, band] of bands.entries()) band.add(keys[at]!, index);
  }
  return found;
}

/** Standard deviations of the similarity that a sketch tells, below the threshold, to which a candidate is still compared. */
const margin = 4;

interface Band {
  /** Texts that were added under this key. */
  of(key: number): number[];
  add(key: number, index: number): void;
}

/** A hash table of so many texts at most, in flat arrays: chains of texts whose keys fall into one slot. */
function bandOf(count: number): Band {
  const slots = 2 ** Math.max(1, Math.ceil(Math.log2(count)));
  const heads = new Int32Array(slots).fill(-1);
  const next = new Int32Array(count);
  const keys = new Uint32Array(count);
  return {
    of(key) {
      const all: number[] = [];
      for (let at = heads[key & (slots - 1)]!; at >= 0; at = next[at]!) if (keys[at] === key) all.push(at);
      return all;
    },
    add(key, index) {
      const slot = key & (slots - 1);
      keys[index] = key;
      next[index] = heads[slot]!;
      heads[slot] = index;
    },
  };
}

/** One number of the hashes of a band; two bands of one number need not be the same. */
function keyOf(signature: Uint32Array, from: number, rows: number): number {
  let key = 0;
  for (let i = from; i < from + rows; i += 1) key = mixed(key ^ signature[i]!);
  return key;
}

/** The most hashes a band may have for a pair at the threshold to meet in one of them 99 times of 100. */
function rowsOfBand(threshold: number): number {
  for (let rows = 16; rows > 1; rows -= 1)
    if ((1 - threshold ** rows) ** Math.floor(hashes / rows) <= 0.01) return rows;
  return 1;
}

/** Jaccard similarity of two texts: the share of their pieces of five characters that they have in common. */
export const similarity = (a: string, b: string): number => jaccard(piecesOf(a), piecesOf(b));

function piecesOf(text: string): Set<string> {
  const plain = wordsOf(text).join(" ");
  const pieces = new Set<string>();
  for (let at = 0; at + pieceLength <= plain.length; at += 1) pieces.add(plain.slice(at, at + pieceLength));
  return pieces.size === 0 ? new Set([plain]) : pieces;
}

function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const [small, large] = a.size < b.size ? [a, b] : [b, a];
  let common = 0;
  for (const piece of small) if (large.has(piece)) common += 1;
  return common / (a.size + b.size - common);
}

const salts = Uint32Array.from({ length: hashes }, (_, i) => mixed(i + 1));

/** The least value of each hash function over the pieces. */
function sign(pieces: ReadonlySet<string>, signature: Uint32Array): void {
  signature.fill(0xffffffff);
  for (const piece of pieces) {
    const hash = fnv(piece);
    for (let i = 0; i < hashes; i += 1) {
      const value = mixed(hash ^ salts[i]!);
      if (value < signature[i]!) signature[i] = value;
    }
  }
}

function fnv(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}

/** A permutation of the 32-bit numbers that lets no bit stay where it was (the finaliser of MurmurHash3). */
function mixed(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
