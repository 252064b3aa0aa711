import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import {
  type LeftOutPromptRow,
  type PlacedPrompt,
  readPromptSet,
  type TrainingPrompts,
  trainingPrompts,
  withoutDuplicates,
} from "../preferences/index.ts";
import {
  columnsOf,
  recipeChecks,
  recipeReferences,
  refuseUnrunTests,
  validateChecks,
  withRecipeChecks,
  withReferences,
} from "../rewards/index.ts";
import {
  amended,
  DataError,
  describeError,
  type LoadedRecipe,
  lineInRecipe,
  type Prompt,
  type PromptSetRecipe,
  type Recipe,
  RecipeError,
  type RewardRecipe,
  replaceFile,
} from "../schema/index.ts";

export interface PreparedPrompts {
  readonly training: TrainingPrompts;
  readonly heldOut: readonly Prompt[];
  /** What is wrong with the rows that were passed over, as the recipe says. */
  readonly skipped: readonly DataError[];
}

/** The prompts of a recipe: those to train on, without what it leaves out, and those held out. */
export async function preparePrompts({ recipe, baseFolder, file }: LoadedRecipe): Promise<PreparedPrompts> {
  const skipped: DataError[] = [];
  const added = { checks: checksOf(recipe.rewards, file), references: recipeReferences(recipe.rewards) };
  const read = (set: PromptSetRecipe) => readSet(set, baseFolder, added, skipped, recipe.rewards);
  const heldOut = await read(recipe.evaluation.prompts);
  const compared = (set: PromptSetRecipe) => readSet(set, baseFolder, { checks: [], references: [] }, skipped);
  const against = (await Promise.all((recipe.prompts.decontaminate?.against ?? []).map(compared))).flat();
  const set = await read(recipe.prompts);
  const known = [...heldOut, ...against].map(({ prompt }) => prompt);
  const training = amended({ file }, () => trainingPrompts(set, known, recipe.prompts, recipe.seed));
  return { training, heldOut: withoutDuplicates(heldOut, "error"), skipped };
}

/** The checks that the rewards have for every prompt. Throws a RecipeError with file, line and field. */
function checksOf(rewards: Recipe["rewards"], file: string): RecipeChecks {
  try {
    return recipeChecks(rewards);
  } catch (error) {
    if (!(error instanceof RecipeError)) throw error;
    const line = error.place.field === undefined ? undefined : lineInRecipe(file, error.place.field);
    throw error.amend({ file, ...(line === undefined ? {} : { line }) });
  }
}

type RecipeChecks = ReturnType<typeof recipeChecks>;

/** What the rewards of a recipe take from the rows of the prompts. */
interface Added {
  readonly checks: RecipeChecks;
  readonly references: ReturnType<typeof recipeReferences>;
}

/**
 * A set, its prompts with their own checks and the recipe's, all of them held to the registry; and to these rewards, where they are to
 * score it. References of judges stand beside the checks.
 */
async function readSet(
  set: PromptSetRecipe,
  baseFolder: string,
  { checks, references }: Added,
  skipped: DataError[],
  rewards?: readonly RewardRecipe[],
): Promise<PlacedPrompt[]> {
  const skip = (bad: DataError) => skipped.push(bad);
  const columns = [...new Set([...columnsOf(checks), ...references.map(({ column }) => column)])];
  const placed = await readPromptSet(resolve(baseFolder, set.file), set, skip, columns);
  validateChecks(placed);
  if (rewards !== undefined) refuseUnrunTests(placed, rewards);
  return placed.flatMap((one) => {
    try {
      const { place } = one;
      return { prompt: withReferences(withRecipeChecks(one, checks), place, one.columns, references), place };
    } catch (error) {
      if (set.bad_rows === "error" || !(error instanceof DataError)) throw error;
      skip(error);
      return [];
    }
  });
}

/** Bad rows that are named. */
const namedRows = 3;

/** How many rows were passed over, and what is wrong with the first of them; undefined where none were. */
export function skippedWords(skipped: readonly DataError[]): string | undefined {
  if (skipped.length === 0) return undefined;
  const named = skipped.slice(0, namedRows).map((bad) => describeError(bad).split("\n")[0]);
  const more = skipped.length > namedRows ? "; ..." : "";
  return `${skipped.length} bad ${skipped.length === 1 ? "row is" : "rows are"} passed over: ${named.join("; ")}${more}`;
}

/** How many prompts were left out and why, in words; undefined where none were. */
export function leftOutWords({ prompts, leftOut, reported }: TrainingPrompts): string | undefined {
  if (leftOut.length + reported.length === 0) return undefined;
  const count = (reason: LeftOutPromptRow["reason"]) => leftOut.filter((row) => row.reason === reason).length;
  const parts = [
    [count("duplicate"), "that stand twice"],
    [count("near_duplicate"), "much like an earlier one"],
    [count("contaminated"), "that share words with an evaluation set"],
    [count("not_sampled"), "not in the sample"],
  ].flatMap(([found, what]) => (found === 0 ? [] : [`${found} ${what}`]));
  const left = parts.length === 0 ? [] : [`${parts.join(", ")} are left out`];
  const stay = reported.length === 0 ? [] : [`${reported.length} that share words with an evaluation set stay`];
  return `${prompts.length} prompts to train on; ${[...left, ...stay].join("; ")}`;
}

/** Writes a row for each prompt that was left out, or reported, and for each row that was none, where there are any. */
export function writeLeftOut(file: string, { training, skipped }: PreparedPrompts): void {
  const rows = [
    ...skipped.map(({ message, place }) => ({ reason: "bad_row", ...place, problem: message })),
    ...training.leftOut,
    ...training.reported.map((row) => ({ ...row, kept: true })),
  ];
  if (rows.length === 0) return;
  mkdirSync(dirname(file), { recursive: true });
  replaceFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}
