/**
 * A sum that is rounded once, at the end, so that the order of what is added changes no bit (Shewchuk 1997, Adaptive Precision
 * Floating-Point Arithmetic): what is not in the running sum is kept in further numbers.
 */
export interface ExactSum {
  add(value: number): void;
  total(): number;
}

export function exactSum(): ExactSum {
  /** Numbers that share no bits, the smallest first; their sum is exact. */
  const parts: number[] = [];
  return {
    add(value) {
      let carried = value;
      let kept = 0;
      for (const part of parts) {
        const [large, small] = Math.abs(carried) < Math.abs(part) ? [part, carried] : [carried, part];
        const sum = large + small;
        const lost = small - (sum - large);
        if (lost !== 0) {
          parts[kept] = lost;
          kept += 1;
        }
        carried = sum;
      }
      parts.length = kept;
      parts.push(carried);
    },

    total() {
      let at = parts.length - 1;
      let sum = parts[at] ?? 0;
      let lost = 0;
      while (at > 0 && lost === 0) {
        at -= 1;
        const before = sum;
        sum = before + parts[at]!;
        lost = parts[at]! - (sum - before);
      }
      // Half-way between two numbers, the next part decides.
      const next = parts[at - 1] ?? 0;
      if (at > 0 && lost !== 0 && Math.sign(lost) === Math.sign(next)) {
        const twice = 2 * lost;
        const up = sum + twice;
        if (up - sum === twice) return up;
      }
      return sum;
    },
  };
}
