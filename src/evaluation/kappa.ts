/** Which of two a judge finds better: 1 the first, -1 the second, 0 neither. */
export type Vote = -1 | 0 | 1;

/**
 * Cohen's kappa (Cohen 1960) of two judges' votes on the same pairs, with the categories first, second and tie. Each pair counts in both
 * orders: which of two stands first is nobody's opinion, and so can't make agreement by chance. Null where both always tie, or there is
 * no pair.
 */
export function pairKappa(votes: readonly (readonly [a: Vote, b: Vote])[]): number | null {
  if (votes.length === 0) return null;
  const share = (holds: (vote: readonly [Vote, Vote]) => boolean) => votes.filter(holds).length / votes.length;
  const tiesA = share(([a]) => a === 0);
  const tiesB = share(([, b]) => b === 0);
  const agreeing = share(([a, b]) => a === b);
  const byChance = tiesA * tiesB + ((1 - tiesA) * (1 - tiesB)) / 2;
  return byChance === 1 ? null : (agreeing - byChance) / (1 - byChance);
}
