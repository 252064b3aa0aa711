import { contentKey, type ScoreRequest } from "../schema/index.ts";
import { percent } from "./judge/expected-rating.ts";

/** A text that a response is compared with, and how many rivals have it. */
export interface Rival {
  readonly key: string;
  readonly text: string;
  readonly times: number;
}

/** The rivals of a response whose texts differ from its own and from one another, at most `most` of them: drawn by a lot that depends on the two alone. */
export function metRivals({ responseKey, text, rivals = [] }: ScoreRequest, most?: number): Rival[] {
  const others = new Map<string, Rival>();
  for (const each of rivals)
    if (each.text !== text) others.set(each.text, { ...each, times: (others.get(each.text)?.times ?? 0) + 1 });
  return [...others.values()]
    .map((each) => ({ each, lot: contentKey([responseKey, each.key]) }))
    .sort((a, b) => (a.lot < b.lot ? -1 : 1))
    .slice(0, most)
    .map(({ each }) => each);
}

/** What comparisons had for the first place. */
export interface Places {
  /** Probability of the first place, and what it were without a bias, each summed over `orders` comparisons. */
  first: number;
  expected: number;
  orders: number;
  /** Pairs of which both orders name the same one, of so many. */
  agreeing: number;
  pairs: number;
}

export const noPlaces = (): Places => ({ first: 0, expected: 0, orders: 0, agreeing: 0, pairs: 0 });

/** How much a judge likes the first place, in a line; undefined where nothing was compared. */
export function placesWords(judge: string, { first, expected, orders, agreeing, pairs }: Places): string | undefined {
  if (orders === 0) return undefined;
  const both =
    pairs === 0 ? "" : `; both orders of a pair name the same one in ${percent(agreeing / pairs)} of ${pairs}`;
  return `${judge}: the first place has ${percent(first / orders)} of the probability, ${percent(expected / orders)} without a bias for places, in ${orders} comparisons${both}`;
}
