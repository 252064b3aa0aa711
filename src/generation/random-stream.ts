import { createHash } from "node:crypto";

/** Philox4x32 constants: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). */
const multipliers = [0xd2511f53, 0xcd9e8d57] as const;
const weyl = [0x9e3779b9, 0xbb67ae85] as const;
const rounds = 10;

/** High and low 32 bits of a * b. */
function wideProduct(a: number, b: number): [number, number] {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  const high = aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000);
  return [high >>> 0, Math.imul(a, b) >>> 0];
}

/** Philox4x32-10: four random 32-bit numbers for a counter under a key. */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round++) {
    const [high0, low0] = wideProduct(multipliers[0], c0);
    const [high1, low1] = wideProduct(multipliers[1], c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + weyl[0]) >>> 0;
    k1 = (k1 + weyl[1]) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** A response's random numbers: the number of step t depends on the stream's name and t alone, whatever else is drawn. */
export interface RandomStream {
  /** Uniform in [0, 1), 53 bits. */
  uniform(step: number): number;
}

/** The stream named by (seed, prompt, source, index): the same for a response alone, in any batch, after any resume. */
export function randomStream(...name: readonly (string | number)[]): RandomStream {
  const digest = createHash("sha256").update(JSON.stringify(name)).digest();
  const word = (k: number) => digest.readUInt32LE(4 * k);
  return {
    uniform(step) {
      const [high, low] = philox([step >>> 0, Math.floor(step / 2 ** 32), word(2), word(3)], [word(0), word(1)]);
      return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
    },
  };
}
