/**
 * P-values corrected so that the chance of one false finding or more among all of them stays below the level (Holm 1979): by size, the
 * smallest times their number, the next times one less, and so on, none below the one before it and none above 1. In the order given.
 */
export function holm(pValues: readonly number[]): number[] {
  const corrected = pValues.map(() => 0);
  let least = 0;
  for (const [rank, index] of bySize(pValues).entries()) {
    least = Math.max(least, Math.min(1, (pValues.length - rank) * pValues[index]!));
    corrected[index] = least;
  }
  return corrected;
}

/**
 * P-values corrected so that the expected share of false ones among the findings stays below the level (Benjamini and Hochberg 1995),
 * where the tests are independent or positively dependent. In the order given.
 */
export function benjaminiHochberg(pValues: readonly number[]): number[] {
  const corrected = pValues.map(() => 0);
  let most = 1;
  for (const [fromLargest, index] of bySize(pValues).reverse().entries()) {
    const rank = pValues.length - fromLargest;
    most = Math.min(most, (pValues.length / rank) * pValues[index]!);
    corrected[index] = most;
  }
  return corrected;
}

const bySize = (pValues: readonly number[]): number[] =>
  pValues.map((_, index) => index).sort((a, b) => pValues[a]! - pValues[b]! || a - b);
