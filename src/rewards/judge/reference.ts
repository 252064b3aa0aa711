import {
  type CheckSpec,
  DataError,
  type Place,
  type Prompt,
  RecipeError,
  type RewardRecipe,
  referenceWords,
} from "../../schema/index.ts";

/** Where a judge finds the reference answer to a prompt. */
export interface ReferenceRecipe {
  /** The column of the prompt's row. */
  readonly column: string;
  /** Whether a prompt may be without one; the judge then says nothing of its responses. */
  readonly optional: boolean;
}

/** A column that judges take references from, each once; `field` is where the recipe names it first. */
interface ReferenceColumn extends ReferenceRecipe {
  readonly field: string;
}

/**
 * The columns that the judges of a recipe take references from. Optional where every judge that names it says so.
 *
 * Names of judges and checks have no colon and checks of the recipe begin with a name: no id of theirs is a reference's.
 */
export function recipeReferences(rewards: readonly RewardRecipe[]): ReferenceColumn[] {
  const found = new Map<string, ReferenceColumn>();
  for (const [at, reward] of rewards.entries()) {
    if (reward.kind !== "judge" || reward.reference === undefined) continue;
    const { column, optional } = reward.reference;
    const known = found.get(column);
    if (known === undefined || (known.optional && !optional))
      found.set(column, { column, optional, field: `rewards.${at}.reference` });
  }
  return [...found.values()];
}

const referenceId = (column: string): string => `judge:reference/${column}`;

/**
 * The prompt with its references beside its checks: the ledger keeps them so, and a score holds for exactly these. Throws a DataError
 * at the row's place for a column that it lacks, or that is neither a text nor a number, or blank.
 */
export function withReferences(
  prompt: Prompt,
  place: Place,
  columns: Readonly<Record<string, unknown>> | undefined,
  references: readonly ReferenceColumn[],
): Prompt {
  if (references.length === 0) return prompt;
  const resolved = references.flatMap(({ column, optional, field }): CheckSpec[] => {
    const value = columns?.[column];
    if (value === undefined && optional) return [];
    const at = { ...place, field: column };
    const whence = `${field} of the recipe takes the reference answer from there.`;
    if (value === undefined)
      throw new DataError(`the row has no ${column}`, {
        ...at,
        hint: `${whence} With {column: ${column}, optional: true} the judge says nothing of the responses to a prompt without it.`,
      });
    const isText = typeof value === "string" || typeof value === "number" || typeof value === "bigint";
    if (!isText) throw new DataError("is neither a text nor a number", { ...at, hint: whence });
    const text = String(value);
    if (text.trim() === "") throw new DataError("the reference answer is empty", { ...at, hint: whence });
    if (!text.isWellFormed())
      throw new DataError("holds half a surrogate pair, which is no character", { ...at, hint: whence });
    return [{ id: referenceId(column), args: { text } }];
  });
  return { ...prompt, checks: [...prompt.checks, ...resolved] };
}

/** The reference answer that a prompt has from a column, if it has one. */
export function referenceOf({ checks }: Prompt, column: string): string | undefined {
  const text = checks.find(({ id }) => id === referenceId(column))?.args.text;
  return typeof text === "string" ? text : undefined;
}

/** Whether an entry among a prompt's checks is a reference, and so no check. */
export const isReference = ({ id }: CheckSpec): boolean => id.startsWith(referenceId(""));

/** Throws RecipeError below `field` where a rubric asks for a reference that the judge has not, or has no place for it. */
export function checkReference(rubric: string, reference: ReferenceRecipe | undefined, field: string): void {
  const shown = rubric.includes("{reference}");
  if (shown === (reference !== undefined)) return;
  const [message, hint] = shown
    ? [referenceWords.unnamed, referenceWords.name]
    : [referenceWords.unshown, referenceWords.show];
  throw new RecipeError(message, { field: `${field}.rubric`, hint });
}

/** What a judge says where it asks for a reference and the prompt has none: nothing, or a failure. */
export const withoutReference = ({ column, optional }: ReferenceRecipe) =>
  optional ? { parts: [] } : { failure: `the prompt has no reference answer (column ${column})` };
