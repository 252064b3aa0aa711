import { type DecoderConfig, parameterShapes } from "../models/index.ts";
import { amended, type Recipe } from "../schema/index.ts";
import { trainedNames } from "../training/index.ts";

/**
 * Holds what the trainings of a recipe say of weights to those that the target has.
 *
 * @throws TrainingError where a pattern matches none.
 */
export function checkTrainings(recipe: Pick<Recipe, "sft" | "wrpo">, target: DecoderConfig): void {
  const names = [...parameterShapes(target).keys()];
  for (const stage of ["sft", "wrpo"] as const)
    amended({ hint: `It is a field of the recipe's ${stage}.` }, () => trainedNames(recipe[stage], names));
}
