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

/**
 * Texts whose Jaccard similarity to an earlier one that stays is at least `threshold`: the share of pieces of five
 * characters that they have in common, case, punctuation and white space aside. Candidates come from MinHash signatures in
 * bands (Broder 1997; Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4), of which a pair at the threshold is
 * missed once in a hundred times at most; every candidate is compared exactly, so that no unlike text is named.
 */
export function nearDuplicates(texts: readonly string[], threshold: number): NearDuplicate[] {
  const rows = rowsOfBand(threshold);
  const bands = Array.from({ length: Math.floor(hashes / rows) }, () => new Map<string, number[]>());
  const pieces: Set<string>[] = [];
  const found: NearDuplicate[] = [];
  const signature = new Uint32Array(hashes);
  for (const [index, text] of texts.entries()) {
    const own = piecesOf(text);
    pieces[index] = own;
    sign(own, signature);
    const keys = bands.map((_, band) => signature.subarray(band * rows, (band + 1) * rows).join());
    const seen = new Set(bands.flatMap((band, at) => band.get(keys[at]!) ?? []));
    const best = [...seen]
      .map((of) => ({ index, of, similarity: jaccard(own, pieces[of]!) }))
      .filter(({ similarity }) => similarity >= threshold)
      .sort((a, b) => b.similarity - a.similarity || a.of - b.of)[0];
    if (best !== undefined) {
      found.push(best);
      continue;
    }
    for (const [at, band] of bands.entries()) {
      const bucket = band.get(keys[at]!);
      if (bucket === undefined) band.set(keys[at]!, [index]);
      else bucket.push(index);
    }
  }
  return found;
}

/** The most hashes a band may have for a pair at the threshold to meet in one of them 99 times of 100. */
function rowsOfBand(threshold: number): number {
  for (let rows = 16; rows > 1; rows -= 1)
    if ((1 - threshold ** rows) ** Math.floor(hashes / rows) <= 0.01) return rows;
  return 1;
}

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
