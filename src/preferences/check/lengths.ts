/** How long texts are, in characters. Quartiles and the like are right to 3 %. */
export interface LengthFigures {
  readonly count: number;
  readonly least: number;
  readonly median: number;
  /** 95 of 100 texts are no longer. */
  readonly p95: number;
  readonly most: number;
}

export interface Lengths {
  add(characters: number): void;
  /** Null before the first text. */
  figures(): LengthFigures | null;
}

/** Steps of the scale for each doubling. */
const steps = 16;

/** Counts lengths on a scale of steps of 4.4 %: its memory doesn't grow with the texts. */
export function lengths(): Lengths {
  const bins = new Float64Array(64 * steps);
  let [count, least, most] = [0, Number.POSITIVE_INFINITY, 0];
  /** The length below which a share of all texts lies: the middle of its step, within what was seen. */
  const quantile = (share: number): number => {
    let before = 0;
    const bin = bins.findIndex((inside) => {
      before += inside;
      return before >= share * count;
    });
    return Math.min(most, Math.max(least, Math.round(2 ** ((bin + 0.5) / steps) - 1)));
  };
  return {
    add(characters) {
      bins[Math.floor(Math.log2(characters + 1) * steps)]! += 1;
      [count, least, most] = [count + 1, Math.min(least, characters), Math.max(most, characters)];
    },
    figures: () => (count === 0 ? null : { count, least, median: quantile(0.5), p95: quantile(0.95), most }),
  };
}
