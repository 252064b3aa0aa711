import { contentKey, type Flag } from "../../schema/index.ts";
import { flagsIn, gapOf, type Shown, winnerOf } from "./record.ts";

/** Which prompts are shown. */
export interface InspectFilter {
  readonly ids?: readonly string[] | undefined;
  /** Prompts whose preferred response is of this source. */
  readonly source?: string | undefined;
  readonly domain?: string | undefined;
  /** Prompts with a response that has this flag. */
  readonly flag?: Flag | undefined;
  /** A piece of the prompt's or of a response's text; upper and lower case are the same. */
  readonly search?: string | undefined;
  readonly minGap?: number | undefined;
  readonly maxGap?: number | undefined;
}

/** Whether a prompt is one of these by what is known without its responses. */
export const mayMatch = ({ ids, domain }: InspectFilter, prompt: { readonly id: string; readonly domain?: string }) =>
  (ids === undefined || ids.length === 0 || ids.includes(prompt.id)) &&
  (domain === undefined || prompt.domain === domain);

/** Whether a filter looks at responses, too. */
export const looksInside = ({ ids: _, domain: __, ...others }: InspectFilter): boolean =>
  Object.values(others).some((value) => value !== undefined);

/** Whether a prompt is to be shown. */
export function matches(filter: InspectFilter, shown: Shown): boolean {
  const { source, flag, search, minGap, maxGap } = filter;
  if (!mayMatch(filter, shown)) return false;
  if (source !== undefined && winnerOf(shown) !== source) return false;
  if (flag !== undefined && !flagsIn(shown).includes(flag)) return false;
  if (search !== undefined && !holds(shown, search.toLowerCase())) return false;
  if (minGap === undefined && maxGap === undefined) return true;
  const gap = gapOf(shown);
  return (
    gap !== undefined && gap >= (minGap ?? Number.NEGATIVE_INFINITY) && gap <= (maxGap ?? Number.POSITIVE_INFINITY)
  );
}

const holds = ({ messages, responses }: Shown, piece: string): boolean =>
  messages.some(({ content }) => content.toLowerCase().includes(piece)) ||
  responses.some(({ text }) => text.toLowerCase().includes(piece));

export interface Sampling {
  readonly size: number;
  readonly seed: number;
}

/** What decides over a random sample: the same for a prompt and a seed, whatever else is there. */
const lotOf = (id: string, seed: number): string => contentKey(["inspect", seed, id]);

/** Keeps a random sample of what it is given, `size` at most in memory. */
export function sampler<Item>({ size, seed }: Sampling) {
  let kept: { readonly lot: string; readonly order: number; readonly item: Item }[] = [];
  let given = 0;
  const smallest = () => {
    kept = kept.sort((a, b) => (a.lot < b.lot ? -1 : 1)).slice(0, size);
  };
  return {
    add(id: string, item: Item): void {
      kept.push({ lot: lotOf(id, seed), order: given, item });
      given += 1;
      if (kept.length >= 2 * size + 16) smallest();
    },
    /** The sample, in the order in which it was given. */
    items(): Item[] {
      smallest();
      return [...kept].sort((a, b) => a.order - b.order).map(({ item }) => item);
    },
  };
}
