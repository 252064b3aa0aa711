import { contentKey } from "../schema/index.ts";

interface Member {
  readonly id: string;
  readonly domain?: string;
}

/**
 * Draws `size` of the members, from each domain its share (by largest remainders) or as many as from every other, as far
 * as it has them. Which ones depends on the ids and the seed alone, not on their order. Keeps the order; gives all where
 * there are no more.
 */
export function stratifiedSample<T extends Member>(
  members: readonly T[],
  size: number,
  domains: "proportional" | "equal",
  seed: number,
): T[] {
  if (members.length <= size) return [...members];
  const strata = new Map<string, T[]>();
  for (const member of members) {
    const domain = member.domain ?? "";
    const stratum = strata.get(domain);
    if (stratum === undefined) strata.set(domain, [member]);
    else stratum.push(member);
  }
  const names = [...strata.keys()].sort();
  const counts = names.map((name) => strata.get(name)!.length);
  const quotas = domains === "equal" ? equalQuotas(counts, size) : proportionalQuotas(counts, size);
  const drawn = new Set(
    names.flatMap((name, at) => {
      const lots = strata.get(name)!.map(({ id }) => ({ id, lot: contentKey({ sample: seed, id }) }));
      lots.sort((a, b) => (a.lot < b.lot ? -1 : 1));
      return lots.slice(0, quotas[at]).map(({ id }) => id);
    }),
  );
  return members.filter(({ id }) => drawn.has(id));
}

/** Whole shares of `size` in proportion to the counts; what rounding leaves goes to the largest remainders. */
function proportionalQuotas(counts: readonly number[], size: number): number[] {
  const all = counts.reduce((sum, count) => sum + count, 0);
  const exact = counts.map((count) => (size * count) / all);
  const quotas = exact.map(Math.floor);
  const byRemainder = exact.map((share, at) => ({ at, left: share - Math.floor(share) }));
  byRemainder.sort((a, b) => b.left - a.left || a.at - b.at);
  const open = size - quotas.reduce((sum, quota) => sum + quota, 0);
  for (const { at } of byRemainder.slice(0, open)) quotas[at]! += 1;
  return quotas;
}

/** One to each in turn, until all are given out or the domain has no more. */
function equalQuotas(counts: readonly number[], size: number): number[] {
  const quotas = counts.map(() => 0);
  for (let left = size; left > 0; ) {
    const open = counts.flatMap((count, at) => (quotas[at]! < count ? [at] : []));
    const each = Math.max(1, Math.floor(left / open.length));
    for (const at of open) {
      const more = Math.min(each, counts[at]! - quotas[at]!, left);
      quotas[at]! += more;
      left -= more;
    }
  }
  return quotas;
}
