import type { Range } from "./expression.ts";

/** Bytes from the first to the second, at one place. */
export type ByteRange = readonly [first: number, last: number];

/** Last code points of 1, 2, 3 and 4 bytes; the surrogates, which have no bytes, lie between two ranges of 3. */
const sizes: readonly Range[] = [
  [0, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xd7ff],
  [0xe000, 0xffff],
  [0x10000, 0x10ffff],
];

const encode = (point: number): number[] => [...new TextEncoder().encode(String.fromCodePoint(point))];

/** The UTF-8 of a range of code points: sequences of byte ranges, each of which stands for all combinations of its bytes. */
export function utf8Ranges([first, last]: Range): ByteRange[][] {
  return sizes.flatMap(([least, most]) => {
    const [from, to] = [Math.max(first, least), Math.min(last, most)];
    return from > to ? [] : split(encode(from), encode(to));
  });
}

/** Of all that lies between two byte strings of one length. */
function split(from: readonly number[], to: readonly number[]): ByteRange[][] {
  const [a, b] = [from[0]!, to[0]!];
  if (from.length === 1) return [[[a, b]]];
  const lowest = from.slice(1).map(() => 0x80);
  const highest = from.slice(1).map(() => 0xbf);
  const rest = (low: readonly number[], high: readonly number[]) => split(low, high);
  const under = (lead: ByteRange, tails: ByteRange[][]) => tails.map((tail) => [lead, ...tail]);
  if (a === b) return under([a, a], rest(from.slice(1), to.slice(1)));
  const startsLow = from.slice(1).every((byte) => byte === 0x80);
  const endsHigh = to.slice(1).every((byte) => byte === 0xbf);
  const [wholeFrom, wholeTo] = [startsLow ? a : a + 1, endsHigh ? b : b - 1];
  return [
    ...(startsLow ? [] : under([a, a], rest(from.slice(1), highest))),
    ...(wholeFrom > wholeTo
      ? []
      : under([wholeFrom, wholeTo], [lowest.map((byte, k): ByteRange => [byte, highest[k]!])])),
    ...(endsHigh ? [] : under([b, b], rest(lowest, to.slice(1)))),
  ];
}
