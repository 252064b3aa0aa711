import { createHash } from "node:crypto";
import { mersenneTwisterOf } from "./mersenne-twister.ts";

/** Python's `random.Random`: the same numbers from the same seed. */
export interface PythonRandom {
  /** In [0, 1), of 53 bits. */
  random(): number;
  /** A uniform integer in [0, range), as `_randbelow` draws it. */
  below(range: number): number;
  /** `choices(items)[0]`. */
  choice<Item>(items: readonly Item[]): Item;
  /** `sample(items, count)`: so many of them in the order in which they were drawn. Throws RangeError where there are fewer. */
  sample<Item>(items: readonly Item[], count: number): Item[];
}

/** `random.Random(seed)`, of a text or of an integer from 0 to 2^53. */
export function pythonRandom(seed: string | number): PythonRandom {
  const next = mersenneTwisterOf(seedWords(typeof seed === "string" ? textSeed(seed) : BigInt(seed)));
  const random = () => {
    const high = next() >>> 5;
    const low = next() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  };
  const below = (range: number) => {
    const bits = 32 - Math.clz32(range);
    for (;;) {
      const drawn = next() >>> (32 - bits);
      if (drawn < range) return drawn;
    }
  };
  return {
    random,
    below,
    choice: (items) => items[Math.floor(random() * items.length)]!,
    sample: (items, count) => sampled(items, count, below),
  };
}

/** A text with its SHA-512 behind it, as one number: `seed(text, version=2)`. */
function textSeed(text: string): bigint {
  const bytes = Buffer.from(text);
  const digest = createHash("sha512").update(bytes).digest();
  return BigInt(`0x${Buffer.concat([bytes, digest]).toString("hex")}`);
}

/** A number in words of 32 bits, the lowest first. */
function seedWords(seed: bigint): number[] {
  const words: number[] = [];
  for (let rest = seed; rest > 0n; rest >>= 32n) words.push(Number(rest & 0xffff_ffffn));
  return words.length === 0 ? [0] : words;
}

function sampled<Item>(items: readonly Item[], count: number, below: (range: number) => number): Item[] {
  const size = items.length;
  if (count > size) throw new RangeError(`${count} of ${size} items were asked for`);
  // Below this size of the whole, a list of all is cheaper for Python than a set of those drawn; the two draw differently.
  const setSize = count > 5 ? 21 + 4 ** Math.ceil(Math.log(count * 3) / Math.log(4)) : 21;
  if (size <= setSize) {
    const pool = [...items];
    return Array.from({ length: count }, (_, drawn) => {
      const at = below(size - drawn);
      const item = pool[at]!;
      pool[at] = pool[size - drawn - 1]!;
      return item;
    });
  }
  const taken = new Set<number>();
  return Array.from({ length: count }, () => {
    let at = below(size);
    while (taken.has(at)) at = below(size);
    taken.add(at);
    return items[at]!;
  });
}
