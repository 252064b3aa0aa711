import { emptyHashed, exactSimilarity, mixed, writeHashed } from "./pieces.ts";

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
 * each text a byte of each hash and 8 to 16 bytes for each band, nothing of its pieces. Each text is read once, and once
 * more for every candidate.
 */
export function nearDuplicates(texts: Texts, threshold: number): NearDuplicate[] {
  const rows = rowsOfBand(threshold);
  const bands = Array.from({ length: Math.floor(hashes / rows) }, () => bandOf(texts.length));
  const sketches = new Uint8Array(texts.length * hashes);
  const leastAlike = hashes * Math.max(0, threshold - margin * Math.sqrt((threshold * (1 - threshold)) / hashes));
  const signature = new Uint32Array(hashes);
  const similarity = exactSimilarity();
  const [own, other] = [emptyHashed(), emptyHashed()];
  const found: NearDuplicate[] = [];
  const mayBe = (index: number, of: number): boolean => {
    let alike = 0;
    for (let i = 0; i < hashes; i += 1) if (sketches[index * hashes + i] === sketches[of * hashes + i]) alike += 1;
    return alike >= leastAlike;
  };
  const similarityTo = (of: number): number => {
    writeHashed(texts.at(of)!, other);
    return similarity(own, other);
  };
  for (let index = 0; index < texts.length; index += 1) {
    writeHashed(texts.at(index)!, own);
    sign(own.hashes, own.pieces.count, signature);
    sketches.set(signature, index * hashes);
    const keys = bands.map((_, band) => keyOf(signature, band * rows, rows));
    const candidates = new Set(bands.flatMap((band, at) => band.of(keys[at]!)));
    const best = [...candidates]
      .filter((of) => mayBe(index, of))
      .map((of) => ({ index, of, similarity: similarityTo(of) }))
      .filter(({ similarity: told }) => told >= threshold)
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

/**
 * A signature of a set: of two, each hash is equal with their Jaccard similarity for probability. As MinHash, but with one hash
 * function for all places while the set is large: each piece falls into one place by lot, where the least one stays, and only
 * places that are still empty are tried again, at last by all pieces (Dahlgaard, Knudsen, Thorup, Fast Similarity
 * Sketching, 2017).
 */
function sign(pieces: Uint32Array, count: number, signature: Uint32Array): void {
  const roundOf = new Int16Array(hashes).fill(-1);
  let empty = hashes;
  for (let round = 0; empty > 0; round += 1) {
    const salt = mixed(round + 1);
    for (let i = 0; i < count; i += 1) {
      const value = mixed(pieces[i]! ^ salt);
      const place = round < hashes ? mixed(value + salt) % hashes : round - hashes;
      if (roundOf[place] === -1) {
        roundOf[place] = round;
        empty -= 1;
      } else if (roundOf[place] !== round || value >= signature[place]!) continue;
      signature[place] = value;
    }
  }
}
