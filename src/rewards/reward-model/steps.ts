import { DataError, ModelError, type RewardRecipe } from "../../schema/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";

/** How a process reward divides a response into steps and what it makes of their values. */
export type Steps = NonNullable<Extract<RewardRecipe, { kind: "model" }>["steps"]>;

/**
 * A response with the step token after each of its steps, which are parted by the separator; blank ones don't count.
 *
 * @throws DataError for a response without any step.
 */
export function markSteps(text: string, { separator, token, joined_by }: Steps): { text: string; count: number } {
  const steps = text
    .split(separator)
    .map((step) => step.trim())
    .filter((step) => step !== "");
  if (steps.length === 0) throw new DataError("the response has no steps: it is empty");
  return { text: steps.map((step) => step + token).join(joined_by), count: steps.length };
}

/**
 * The id that is looked for: that of the step token, white space around it aside (Math-Shepherd's " ки" is a space and "ки" to some
 * tokenizers).
 *
 * @throws ModelError where the tokenizer has no such token: the last piece of its spelling would stand for anything.
 */
export function stepId(tokenizer: Tokenizer, token: string, label: string, field: string): number {
  const id = tokenizer.encode(token, { special: true }).at(-1);
  if (id !== undefined && bare(tokenizer.decode([id])) === bare(token)) return id;
  throw new ModelError(`${label} has no token for ${JSON.stringify(token)}`, {
    field,
    hint: "Name the token that the model was trained to judge a step at.",
  });
}

/** Without white space around, unless it is nothing else. */
const bare = (token: string): string => token.trim() || token;

/**
 * Where steps end in a conversation of `count` steps.
 *
 * @throws DataError where the step token stands elsewhere too, so that no place is sure.
 */
export function stepPlaces(ids: readonly number[], id: number, count: number, token: string): number[] {
  const places = [...ids.keys()].filter((at) => ids[at] === id);
  if (places.length === count) return places;
  throw new DataError(
    `the step token ${JSON.stringify(token)} stands ${places.length} times in the conversation, which has ${count} steps`,
  );
}

/** What the values of the steps come to. */
export function stepsValue(values: readonly number[], value: Steps["value"]): number {
  switch (value) {
    case "min":
      return Math.min(...values);
    case "last":
      return values.at(-1)!;
    case "mean":
      return values.reduce((sum, each) => sum + each, 0) / values.length;
    case "product":
      return values.reduce((product, each) => product * each, 1);
  }
}
