import { z } from "zod";
import type { CheckSpec, Place, Prompt, RewardRecipe } from "../schema/index.ts";
import { DataError, issueWords, RecipeError } from "../schema/index.ts";
import { instructionOf, knownInstruction } from "./checks/index.ts";

/** What a recipe says of a reward of checks. */
export type ChecksRecipe = Pick<Extract<RewardRecipe, { kind: "checks" }>, "name" | "checks">;

/** An argument that a column of the prompt's row gives; of an optional one, a prompt without it is not checked. */
const reference = z.strictObject({ column: z.string().min(1), optional: z.boolean().default(false) });
type Reference = z.infer<typeof reference>;

/** A check that a recipe has for every prompt. */
interface RecipeCheck {
  readonly reward: string;
  readonly check: CheckSpec;
  /** The arguments that are columns. */
  readonly references: Readonly<Record<string, Reference>>;
  /** Where it stands in the recipe. */
  readonly field: string;
}

/** The name of a reward of checks: before the ids of its checks, and in the reports. */
export const checksName = ({ name = "checks" }: ChecksRecipe): string => name;

/**
 * The checks that the rewards of a recipe have for every prompt. Throws a RecipeError with the field for an unknown id, and
 * for a wrong argument where none is a column.
 */
export function recipeChecks(rewards: readonly RewardRecipe[]): RecipeCheck[] {
  return rewards.flatMap((reward, at) => {
    if (reward.kind !== "checks") return [];
    return (reward.checks ?? []).map((check, index): RecipeCheck => {
      const field = `rewards.${at}.checks.${index}`;
      const references = Object.fromEntries(
        Object.entries(check.args).flatMap(([name, value]) => {
          const parsed = reference.safeParse(value);
          return parsed.success ? [[name, parsed.data]] : [];
        }),
      );
      refuseWrong(check, Object.keys(references).length > 0, field);
      return { reward: checksName(reward), check, references, field };
    });
  });
}

function refuseWrong(check: CheckSpec, hasColumns: boolean, field: string): void {
  try {
    instructionOf(check, { field });
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const isArgument = error.place.field !== `${field}.id`;
    // What a column gives is held to the registry prompt by prompt.
    if (isArgument && hasColumns) return;
    const { hint } = error;
    throw new RecipeError(error.message, { ...error.place, ...(hint === undefined ? {} : { hint }), cause: error });
  }
}

/** The columns that the checks refer to, each once. */
export const columnsOf = (checks: readonly RecipeCheck[]): string[] => [
  ...new Set(checks.flatMap(({ references }) => Object.values(references).map(({ column }) => column))),
];

/**
 * The prompt with the recipe's checks beside its own, each as `reward/id` with the values of its columns: the ledger keeps
 * them so, and a score holds for exactly these. Throws a DataError at the row's place for a column that it lacks or that
 * is no such argument.
 */
export function withRecipeChecks(
  {
    prompt,
    place,
    columns = {},
  }: { readonly prompt: Prompt; readonly place: Place; readonly columns?: Readonly<Record<string, unknown>> },
  checks: readonly RecipeCheck[],
): Prompt {
  if (checks.length === 0) return prompt;
  const resolved = checks.flatMap((check) => {
    const args = argumentsOf(check, columns, place);
    return args === undefined ? [] : [{ id: `${check.reward}/${check.check.id}`, args }];
  });
  return { ...prompt, checks: [...prompt.checks, ...resolved] };
}

function argumentsOf(
  { check, references, field }: RecipeCheck,
  columns: Readonly<Record<string, unknown>>,
  place: Place,
): Record<string, unknown> | undefined {
  const args: Record<string, unknown> = { ...check.args };
  for (const [name, { column, optional }] of Object.entries(references)) {
    const value = columns[column];
    if (value === undefined && optional) return undefined;
    if (value === undefined)
      throw new DataError(`the row has no ${column}`, {
        ...place,
        field: column,
        hint: `${field} of the recipe takes ${name} of ${check.id} from there. With {column: ${column}, optional: true} a prompt without it is not checked.`,
      });
    args[name] = plain(value);
  }
  const instruction = knownInstruction(check.id, { field });
  const parsed = instruction.args.safeParse(args);
  if (parsed.success) return args;
  const issue = parsed.error.issues[0]!;
  const { message, hint } = issueWords(issue, args);
  const [name] = issue.path;
  const column = typeof name === "string" ? references[name]?.column : undefined;
  throw new DataError(`${check.id}: ${message}`, {
    ...place,
    field: column ?? `${field}.args.${issue.path.join(".")}`,
    hint: `${field} of the recipe takes ${String(name)} from there.${hint === undefined ? "" : ` ${hint}`}`,
    cause: parsed.error,
  });
}

/** A value of a column as JSON has it. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === "bigint" ? (Number.isSafeInteger(Number(inner)) ? Number(inner) : String(inner)) : inner,
    ),
  ) as unknown;
