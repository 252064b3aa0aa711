const size = 624;
const shift = 397;

/** The 32-bit Mersenne Twister (Matsumoto and Nishimura 1998), as C++'s std::mt19937 is seeded: uniform integers below 2^32. */
export const mersenneTwister = (seed: number): (() => number) => twister(stateOf(seed));

/** The same, seeded by an array of words (`init_by_array`), as Python's is. */
export function mersenneTwisterOf(words: readonly number[]): () => number {
  const state = stateOf(19_650_218);
  let at = 1;
  const further = () => {
    at += 1;
    if (at < size) return;
    state[0] = state[size - 1]!;
    at = 1;
  };
  const mixed = (factor: number) => state[at]! ^ Math.imul(state[at - 1]! ^ (state[at - 1]! >>> 30), factor);
  for (let step = 0; step < Math.max(size, words.length); step += 1) {
    const word = step % words.length;
    state[at] = mixed(1_664_525) + words[word]! + word;
    further();
  }
  for (let step = 1; step < size; step += 1) {
    state[at] = mixed(1_566_083_941) - at;
    further();
  }
  state[0] = 0x8000_0000;
  return twister(state);
}

function stateOf(seed: number): Uint32Array {
  const state = new Uint32Array(size);
  state[0] = seed;
  for (let i = 1; i < size; i += 1) {
    const before = state[i - 1]!;
    state[i] = Math.imul(1_812_433_253, before ^ (before >>> 30)) + i;
  }
  return state;
}

function twister(state: Uint32Array): () => number {
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
