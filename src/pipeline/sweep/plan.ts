import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  AmalgamError,
  type LoadedSweep,
  loadRecipe,
  type Recipe,
  RecipeError,
  resolvedRecipe,
  type SweepVariant,
} from "../../schema/index.ts";
import { type LedgerReader, readLedger } from "../../store/index.ts";
import { type StageName, stageNames } from "../events.ts";
import { runPaths } from "../run.ts";
import { stageInputs } from "../stages.ts";

/** Where a sweep keeps what it is about; each variant's run lies in a folder of its name beside them. */
export const sweepPaths = (folder: string) => ({
  json: join(folder, "sweep.json"),
  html: join(folder, "sweep.html"),
  variant: (name: string) => join(folder, name),
});

/** A variant with the run that it comes to. */
export interface PlannedVariant extends SweepVariant {
  readonly folder: string;
  /** As its run folder will have it. */
  readonly recipe: Recipe;
  /** Digest of what each stage depends on: stages of two variants with the same are one. */
  readonly inputs: Readonly<Record<StageName, string>>;
}

/** The runs of a sweep in `folder`. */
export function planSweep({ variants, recipeFile }: LoadedSweep, folder: string): PlannedVariant[] {
  return variants.map((variant) => {
    const own = sweepPaths(folder).variant(variant.name);
    const recipe = resolvedRecipe(loadRecipe(recipeFile, variant.overrides).recipe, dirname(recipeFile), own);
    if (recipe.ledger !== undefined)
      throw new RecipeError("a sweep keeps the ledger of each variant in the variant's folder", {
        file: recipeFile,
        field: "ledger",
        hint: "Take `ledger` out of the recipe of the sweep.",
      });
    const inputs = Object.fromEntries(stageNames.map((name) => [name, stageInputs(recipe, name)]));
    return { ...variant, folder: own, recipe, inputs: inputs as Record<StageName, string> };
  });
}

/** What a run folder's ledger says; undefined where there is none that can be read. */
export async function askLedger<Answer>(
  folder: string,
  ask: (reader: LedgerReader) => Promise<Answer>,
): Promise<Answer | undefined> {
  if (!existsSync(join(folder, "run.db"))) return undefined;
  let reader: LedgerReader | undefined;
  try {
    reader = await readLedger(folder);
    return await ask(reader);
  } catch (error) {
    if (error instanceof AmalgamError) return undefined;
    throw error;
  } finally {
    await reader?.close();
  }
}

/** The file or folder that a stage leaves beside the ledger, without which it is not done. */
const products: Readonly<Partial<Record<StageName, (folder: string, recipe: Recipe) => string>>> = {
  sft: (folder) => runPaths(folder).sftModel,
  select_quadruples: (folder, { selection }) => runPaths(folder)[selection.rows],
  wrpo: (folder) => runPaths(folder).fusedModel,
  report: (folder) => runPaths(folder).report,
};

/** The stages, from the first on, that the run in a folder has done with exactly these inputs. */
export async function doneAlike(folder: string, { inputs, recipe }: PlannedVariant): Promise<StageName[]> {
  const records = await askLedger(folder, (reader) => reader.stages.list());
  const byName = new Map((records ?? []).map((record) => [record.name, record]));
  const done = (name: StageName) => {
    const record = byName.get(name);
    if (record?.state !== "done" || record.inputs !== inputs[name]) return false;
    const product = name === "sft" && !recipe.sft.enabled ? undefined : products[name]?.(folder, recipe);
    return product === undefined || existsSync(product);
  };
  const end = stageNames.findIndex((name) => !done(name));
  return stageNames.slice(0, end < 0 ? stageNames.length : end);
}
