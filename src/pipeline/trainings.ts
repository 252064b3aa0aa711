import { adaptedNames, type DecoderConfig, parameterShapes } from "../models/index.ts";
import { adapterNames } from "../nn/index.ts";
import { amended, type OptimisationRecipe, type Recipe, RecipeError } from "../schema/index.ts";
import { trainedNames } from "../training/index.ts";

/** Names of what a training could train of a model: its weights, or the tensors of its adapters. */
function trainableNames({ lora }: OptimisationRecipe, target: DecoderConfig): string[] {
  if (lora === undefined) return [...parameterShapes(target).keys()];
  return adaptedNames(target, lora.target_modules).flatMap((name) => adapterNames(name, lora.dora));
}

interface Trainings {
  readonly sft: Pick<Recipe["sft"], "enabled">;
}

/** The trainings that a recipe has. */
export const trainingsOf = ({ sft }: Trainings): readonly ("sft" | "wrpo")[] =>
  sft.enabled ? ["sft", "wrpo"] : ["wrpo"];

/** The models that its evaluation compares: the target before any training, and what each makes of it. */
export const comparedModels = (recipe: Trainings) => ["untuned", ...trainingsOf(recipe)] as const;

/**
 * Holds what the trainings of a recipe say of weights to those that the target has.
 *
 * @throws TrainingError, ModelError where a pattern or a target module matches none; RecipeError where a training is to be watched by a
 * reward that only compares.
 */
export function checkTrainings(recipe: Pick<Recipe, "sft" | "wrpo" | "rewards">, target: DecoderConfig): void {
  const comparing = recipe.rewards.findIndex((reward) => "compare" in reward && reward.compare !== undefined);
  for (const stage of trainingsOf(recipe)) {
    if (comparing >= 0 && recipe[stage].evaluation_samples > 0)
      throw new RecipeError("a judge that compares the responses of one model tells nothing of the model", {
        field: `${stage}.evaluation_samples`,
        hint: `Set it to 0, or take \`compare\` out of rewards.${comparing}.`,
      });
    amended({ hint: `It is a field of the recipe's ${stage}.` }, () => checkTraining(recipe[stage], target));
  }
}

/** The same for one training. */
export function checkTraining(recipe: OptimisationRecipe, target: DecoderConfig): void {
  trainedNames(recipe, trainableNames(recipe, target));
}
