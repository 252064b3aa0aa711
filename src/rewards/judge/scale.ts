import { RecipeError } from "../../schema/index.ts";

/** Lowest and highest rating. */
export type Scale = readonly [lowest: number, highest: number];

/** All ratings of the scale, from the lowest on. */
export const ratingsOf = ([lowest, highest]: Scale): number[] =>
  Array.from({ length: highest - lowest + 1 }, (_, i) => lowest + i);

/** Throws RecipeError at `field` for a scale of fewer than two ratings. */
export function checkScale([lowest, highest]: Scale, field: string): void {
  if (lowest < highest) return;
  throw new RecipeError(`the scale goes from ${lowest} to ${highest}`, {
    field,
    hint: "Write the lowest rating first and a higher one after it, e.g. [1, 5].",
  });
}
