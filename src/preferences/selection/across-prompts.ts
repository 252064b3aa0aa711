import { contentKey } from "../../schema/index.ts";
import { nearDuplicates } from "../near-duplicates.ts";

/** How alike the texts that stand for y_ws may be from prompt to prompt. */
export interface AcrossPrompts {
  /** Texts as similar as this, or more, are alike: see `nearDuplicates`. */
  readonly maxSimilarity: number;
  /** How many that are alike stay. */
  readonly atMost: number;
}

/**
 * The ids of the prompts whose text is one too many of its kind. The digests of the ids decide who comes first, never their
 * order: the first of a kind stays, and with it as many as are alike to it and allowed.
 */
export function alikeAcross(
  promptIds: readonly string[],
  textAt: (index: number) => string,
  { maxSimilarity, atMost }: AcrossPrompts,
): ReadonlySet<string> {
  const lots = promptIds.map((id, index) => ({ index, lot: contentKey({ alike: id }) }));
  lots.sort((a, b) => (a.lot < b.lot ? -1 : 1));
  const order = Uint32Array.from(lots, ({ index }) => index);
  const at = (place: number) => textAt(order[place]!);
  const kinds = new Map<number, number>();
  const beyond = new Set<string>();
  for (const { index, of } of nearDuplicates({ length: order.length, at }, maxSimilarity)) {
    const own = (kinds.get(of) ?? 1) + 1;
    kinds.set(of, own);
    if (own > atMost) beyond.add(promptIds[order[index]!]!);
  }
  return beyond;
}
