import { createHash } from "node:crypto";
import { philox } from "../schema/index.ts";

/** A response's random numbers: the number of step t depends on the stream's name and t alone, whatever else is drawn. */
export interface RandomStream {
  /** Uniform in [0, 1), 53 bits. */
  uniform(step: number): number;
}

/** The stream named by (seed, prompt, source, index): the same for a response alone, in any batch, after any resume. */
export function randomStream(...name: readonly (string | number)[]): RandomStream {
  const digest = createHash("sha256").update(JSON.stringify(name)).digest();
  const word = (k: number) => digest.readUInt32LE(4 * k);
  const key = [word(0), word(1)];
  const drawn = new Uint32Array(4);
  return {
    uniform(step) {
      philox([step >>> 0, Math.floor(step / 2 ** 32), word(2), word(3)], key, drawn);
      const [high, low] = drawn as unknown as [number, number];
      return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
    },
  };
}
