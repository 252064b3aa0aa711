import { checksOf, columnsOf, type GradedResponse, type GradedRow, readGradedRows } from "../../preferences/index.ts";
import {
  columnsOf as checkColumns,
  recipeChecks,
  recipeReferences,
  validateChecks,
  withRecipeChecks,
  withReferences,
} from "../../rewards/index.ts";
import { contentKey, DataError, type Prompt, type RewardRecipe } from "../../schema/index.ts";

/** A row with its place among those of one prompt: a ledger keeps a prompt once. */
export interface PlacedRow {
  readonly promptId: string;
  /** From 0 on. */
  readonly layer: number;
  readonly subset: string | null;
  readonly responses: readonly GradedResponse[];
}

export interface GradedFile {
  readonly prompts: readonly Prompt[];
  readonly rows: readonly PlacedRow[];
  /** What is wrong with the rows that were passed over. */
  readonly skipped: readonly DataError[];
}

/**
 * The rows of a file, or of a split of a folder, as prompts with graded responses, the prompts with the checks and references that the rewards take from the rows. A
 * row that is of no use is among the skipped. Throws DataError for a file that can't be read or has no useful row, RecipeError for
 * checks of the recipe that are none.
 */
export async function readGraded(file: string, rewards: readonly RewardRecipe[], split?: string): Promise<GradedFile> {
  const checks = recipeChecks(rewards);
  const references = recipeReferences(rewards);
  const columns = [...new Set([...checkColumns(checks), ...references.map(({ column }) => column)])];
  const skipped: DataError[] = [];
  const prompts = new Map<string, Prompt>();
  const layers = new Map<string, number>();
  const rows: PlacedRow[] = [];

  const promptOf = ({ messages, row, place }: GradedRow): Prompt => {
    const own = { id: contentKey(messages), messages, checks: checksOf(row.checks ?? undefined, "checks", place) };
    validateChecks([{ prompt: own, place }]);
    const values = columnsOf(row, columns);
    const checked = withRecipeChecks({ prompt: own, place, columns: values }, checks);
    return withReferences(checked, place, values, references);
  };

  for await (const graded of readGradedRows(file, (bad) => skipped.push(bad), split))
    try {
      const prompt = promptOf(graded);
      const known = prompts.get(prompt.id);
      if (known !== undefined && contentKey(known.checks) !== contentKey(prompt.checks))
        throw new DataError("an earlier row has the same prompt with other checks or another reference", graded.place);
      prompts.set(prompt.id, prompt);
      const layer = layers.get(prompt.id) ?? 0;
      layers.set(prompt.id, layer + 1);
      rows.push({ promptId: prompt.id, layer, subset: graded.subset, responses: graded.responses });
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      skipped.push(error);
    }
  if (rows.length > 0) return { prompts: [...prompts.values()], rows, skipped };
  throw (
    skipped[0]?.amend({ hint: "No row of the file is of use; this is the first." }) ??
    new DataError("there are no rows in it", { file })
  );
}
