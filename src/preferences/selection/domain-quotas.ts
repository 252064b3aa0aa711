import { contentKey } from "../../schema/index.ts";

interface Member {
  readonly promptId: string;
  readonly domain?: string;
}

/**
 * The ids of the prompts that are within the quota of their domain: one number for each, or one for each that is named, and
 * no limit for the others. Which ones of a domain is as good as drawn by lot: their ids' digests decide, never their order.
 * Prompts without a domain have the domain "".
 */
export function withinQuotas(
  members: readonly Member[],
  quotas: number | Readonly<Record<string, number>>,
): ReadonlySet<string> {
  const domains = new Map<string, string[]>();
  for (const { promptId, domain = "" } of members) {
    const own = domains.get(domain);
    if (own === undefined) domains.set(domain, [promptId]);
    else own.push(promptId);
  }
  const kept = new Set<string>();
  for (const [domain, ids] of domains) {
    const quota =
      typeof quotas === "number" ? quotas : Object.hasOwn(quotas, domain) ? quotas[domain]! : Number.POSITIVE_INFINITY;
    for (const id of ids.length <= quota ? ids : drawn(ids, quota)) kept.add(id);
  }
  return kept;
}

function drawn(ids: readonly string[], count: number): string[] {
  const lots = ids.map((id) => ({ id, lot: contentKey({ quota: id }) }));
  lots.sort((a, b) => (a.lot < b.lot ? -1 : 1));
  return lots.slice(0, count).map(({ id }) => id);
}
