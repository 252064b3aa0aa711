/** Digests of 52 bits with the row where each stood first: 24 to 48 bytes for each, nothing of what was digested. */
export interface DigestTable {
  /** The row of an equal digest that was there before; else this one stays. */
  put(digest: string, row: number): number | undefined;
  get(digest: string): number | undefined;
}

/** An empty table. Of a million different rows, two are taken for equal once in ten thousand files. */
export function digestTable(): DigestTable {
  let keys = new Float64Array(1024);
  let rows = new Uint32Array(1024);
  let count = 0;
  /** The place of a key: where it is, or where it would be. No key is 0. */
  const placeOf = (all: Float64Array, key: number): number => {
    let at = key % all.length;
    while (all[at] !== 0 && all[at] !== key) at = (at + 1) % all.length;
    return at;
  };
  const grow = () => {
    const [oldKeys, oldRows] = [keys, rows];
    keys = new Float64Array(oldKeys.length * 2);
    rows = new Uint32Array(keys.length);
    for (const [from, key] of oldKeys.entries()) {
      if (key === 0) continue;
      const at = placeOf(keys, key);
      keys[at] = key;
      rows[at] = oldRows[from]!;
    }
  };
  return {
    put(digest, row) {
      const key = keyOf(digest);
      const at = placeOf(keys, key);
      if (keys[at] === key) return rows[at];
      keys[at] = key;
      rows[at] = row;
      count += 1;
      if (count * 2 > keys.length) grow();
      return undefined;
    },
    get(digest) {
      const key = keyOf(digest);
      const at = placeOf(keys, key);
      return keys[at] === key ? rows[at] : undefined;
    },
  };
}

/** The first 52 bits of a hexadecimal digest. */
const keyOf = (digest: string): number => Number.parseInt(digest.slice(0, 13), 16) || 1;
