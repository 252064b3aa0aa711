import { mersenneTwister } from "./mersenne-twister.ts";

/** Uniform integers in [0, range), as `numpy.random.RandomState(seed)` draws them: by a mask, drawing again what lies above. */
export function numpyRandom(seed: number): (range: number) => number {
  const next = mersenneTwister(seed);
  return (range) => {
    const most = range - 1;
    if (most === 0) return 0;
    const shift = Math.clz32(most);
    for (;;) {
      const drawn = (next() << shift) >>> shift;
      if (drawn <= most) return drawn;
    }
  };
}
