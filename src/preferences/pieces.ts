import { emptyUnits, type Units, writePlain } from "./plain-text.ts";

const pieceLength = 5;

/** A text as what similarity sees of it: the set of its pieces of five characters, words alone. */
interface Pieces extends Units {
  /** How many pieces stand in it, repeated ones counted again: at least one, since a shorter text is one piece. */
  count: number;
}

export const emptyPieces = (): Pieces => ({ ...emptyUnits(), count: 0 });

/** Cuts a text into pieces, in the room of those of another. */
export function writePieces(text: string, into: Pieces): void {
  writePlain(text, into);
  // No word has a NUL: a short text is filled up with it, and is like no part of a longer one.
  while (into.length < pieceLength) {
    into.units[into.length] = 0;
    into.length += 1;
  }
  into.count = into.length - pieceLength + 1;
}

const base = 0x01000193;
const highest = Math.imul(Math.imul(base, base), Math.imul(base, base));

/** The numbers of the pieces, in their order: equal pieces have equal ones, and others nearly always others. Room for `count`. */
function writeHashes({ units, count }: Pieces, into: Uint32Array): void {
  let hash = 0;
  for (let at = 0; at < pieceLength - 1; at += 1) hash = (Math.imul(hash, base) + units[at]!) | 0;
  for (let at = 0; at < count; at += 1) {
    hash = (Math.imul(hash, base) + units[at + pieceLength - 1]!) | 0;
    into[at] = mixed(hash);
    hash = (hash - Math.imul(units[at]!, highest)) | 0;
  }
}

/** Sets, of a map of 8,192 bits (256 words), the bit that each piece has; several may share one. */
export function writeMarks({ units, count }: Pieces, into: Uint32Array): void {
  into.fill(0);
  // Six bits for each of the last five signs: what came before them is shifted out.
  let code = 0;
  for (let at = 0; at < pieceLength - 1; at += 1) code = (code << 6) ^ units[at]!;
  for (let at = pieceLength - 1; at < count + pieceLength - 1; at += 1) {
    code = ((code << 6) ^ units[at]!) & 0x3fffffff;
    const bit = Math.imul(code, 0x9e3779b1) >>> 19;
    into[bit >>> 5]! |= 1 << (bit & 31);
  }
}

/** A permutation of the 32-bit numbers that lets no bit stay where it was (the finaliser of MurmurHash3). */
export function mixed(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Compares the sets of two texts exactly; keeps its rooms between calls. */
export function exactSimilarity(): (a: HashedPieces, b: HashedPieces) => number {
  const tableOfA = pieceTable();
  const tableOfB = pieceTable();
  return (a, b) => {
    tableOfA.begin(a.pieces);
    tableOfB.begin(b.pieces);
    let [sizeOfA, sizeOfB, common] = [0, 0, 0];
    for (let at = 0; at < a.pieces.count; at += 1) if (tableOfA.add(at, a.hashes[at]!)) sizeOfA += 1;
    for (let at = 0; at < b.pieces.count; at += 1) {
      if (!tableOfB.add(at, b.hashes[at]!)) continue;
      sizeOfB += 1;
      if (tableOfA.has(b.pieces, at, b.hashes[at]!)) common += 1;
    }
    return common / (sizeOfA + sizeOfB - common);
  };
}

/** Pieces with the numbers that `writeHashes` gives them. */
interface HashedPieces {
  readonly pieces: Pieces;
  hashes: Uint32Array;
}

export const emptyHashed = (): HashedPieces => ({ pieces: emptyPieces(), hashes: new Uint32Array(4096) });

export function writeHashed(text: string, into: HashedPieces): void {
  writePieces(text, into.pieces);
  if (into.hashes.length < into.pieces.count) into.hashes = new Uint32Array(into.pieces.units.length);
  writeHashes(into.pieces, into.hashes);
}

/** A hash table of the places of different pieces of one text, each compared sign by sign. */
function pieceTable() {
  let places = new Int32Array(8192);
  let mask = places.length - 1;
  let units: Uint16Array = new Uint16Array();
  return {
    begin(pieces: Pieces): void {
      const slots = 2 ** Math.ceil(Math.log2(2 * pieces.count + 1));
      if (places.length < slots) places = new Int32Array(slots);
      mask = slots - 1;
      places.fill(-1, 0, slots);
      units = pieces.units;
    },
    /** Returns false where an equal piece is there. */
    add(place: number, hash: number): boolean {
      let slot = hash & mask;
      for (; places[slot]! >= 0; slot = (slot + 1) & mask) if (equal(units, places[slot]!, units, place)) return false;
      places[slot] = place;
      return true;
    },
    has(pieces: Pieces, place: number, hash: number): boolean {
      for (let slot = hash & mask; places[slot]! >= 0; slot = (slot + 1) & mask)
        if (equal(units, places[slot]!, pieces.units, place)) return true;
      return false;
    },
  };
}

const equal = (a: Uint16Array, at: number, b: Uint16Array, other: number): boolean =>
  a[at] === b[other] &&
  a[at + 1] === b[other + 1] &&
  a[at + 2] === b[other + 2] &&
  a[at + 3] === b[other + 3] &&
  a[at + 4] === b[other + 4];
