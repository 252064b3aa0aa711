const size = 624;
const shift = 397;

/** The 32-bit Mersenne Twister (Matsumoto and Nishimura 1998), as C++'s std::mt19937 is seeded: uniform integers below 2^32. */
export function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(size);
  state[0] = seed;
  for (let i = 1; i < size; i += 1) {
    const before = state[i - 1]!;
    state[i] = Math.imul(1_812_433_253, before ^ (before >>> 30)) + i;
  }
  let at = size;

  function regenerate(): void {
    for (let i = 0; i < size; i += 1) {
      const joined = (state[i]! & 0x8000_0000) | (state[(i + 1) % size]! & 0x7fff_ffff);
      state[i] = state[(i + shift) % size]! ^ (joined >>> 1) ^ (joined & 1 ? 0x9908_b0df : 0);
    }
    at = 0;
  }

  return () => {
    if (at === size) regenerate();
    let word = state[at]!;
    at += 1;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c_5680;
    word ^= (word << 15) & 0xefc6_0000;
    return (word ^ (word >>> 18)) >>> 0;
  };
}

/** A uniform integer in [0, range), from as few words as go (Lemire 2019): the upper half of word times range. */
export function boundedInteger(next: () => number, range: number): number {
  const least = (2 ** 32 - range) % range;
  for (;;) {
    const product = BigInt(next()) * BigInt(range);
    if (Number(product & 0xffff_ffffn) >= least) return Number(product >> 32n);
  }
}
