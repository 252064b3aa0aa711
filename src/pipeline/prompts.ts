import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import {
  type LeftOutPromptRow,
  type PlacedPrompt,
  readPromptSet,
  type TrainingPrompts,
  trainingPrompts,
} from "../preferences/index.ts";
import { validateChecks } from "../rewards/index.ts";
import { amended, type LoadedRecipe, type Prompt, type PromptSetRecipe, replaceFile } from "../schema/index.ts";

export interface PreparedPrompts {
  readonly training: TrainingPrompts;
  readonly heldOut: readonly Prompt[];
}

/** The prompts of a recipe: those to train on, without what it leaves out, and those held out. */
export async function preparePrompts({ recipe, baseFolder, file }: LoadedRecipe): Promise<PreparedPrompts> {
  const heldOut = await readSet(recipe.evaluation.prompts, baseFolder);
  const against = (
    await Promise.all((recipe.prompts.decontaminate?.against ?? []).map((set) => readSet(set, baseFolder)))
  ).flat();
  const set = await readSet(recipe.prompts, baseFolder);
  const known = [...heldOut, ...against].map(({ prompt }) => prompt);
  const training = amended({ file }, () => trainingPrompts(set, known, recipe.prompts, recipe.seed));
  return { training, heldOut: heldOut.map(({ prompt }) => prompt) };
}

/** A set, with the checks of its prompts held to the registry. */
async function readSet(set: PromptSetRecipe, baseFolder: string): Promise<PlacedPrompt[]> {
  const placed = await readPromptSet(resolve(baseFolder, set.file), set);
  validateChecks(placed);
  return placed;
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

/** Writes a row for each prompt that was left out, or reported, where there are any. */
export function writeLeftOut(file: string, { leftOut, reported }: TrainingPrompts): void {
  const rows = [...leftOut, ...reported.map((row) => ({ ...row, kept: true }))];
  if (rows.length === 0) return;
  mkdirSync(dirname(file), { recursive: true });
  replaceFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}
