import type { WrpoRecipe } from "../schema/index.ts";
import { dpo } from "./dpo.ts";
import type { Objective } from "./objective.ts";
import { wrpo } from "./wrpo.ts";

export { type DpoSettings, dpo } from "./dpo.ts";
export * from "./objective.ts";
export { fusionCoefficient, type WrpoSettings, wrpo } from "./wrpo.ts";

/** The objectives by the names that recipes use. A new one is a file of this room and a line here. */
const objectives: Readonly<Record<WrpoRecipe["objective"], (recipe: WrpoRecipe) => Objective>> = {
  wrpo: (recipe) =>
    wrpo({
      beta: recipe.beta,
      alpha: recipe.alpha,
      alphaSchedule: recipe.alpha_schedule,
      labelSmoothing: recipe.label_smoothing,
    }),
  dpo: (recipe) => dpo({ beta: recipe.beta, labelSmoothing: recipe.label_smoothing }),
};

/** The objective that a recipe asks for. */
export const objectiveOf = (recipe: WrpoRecipe): Objective => objectives[recipe.objective](recipe);
