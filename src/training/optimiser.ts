import { adafactor, adamW, lion, type Optimiser, type ParameterRule, type Parameters, sgd } from "../nn/index.ts";
import type { OptimisationRecipe, OptimiserName } from "../schema/index.ts";

type Maker = (parameters: Parameters, recipe: OptimisationRecipe, common: Common) => Optimiser;

interface Common {
  readonly weightDecay: number;
  readonly rule?: (name: string) => ParameterRule;
}

/** The schema fills every setting of the optimiser that is named. */
const makers: Readonly<Record<OptimiserName, Maker>> = {
  adamw: (parameters, recipe, common) =>
    adamW(parameters, {
      ...common,
      beta1: recipe.adam_beta1!,
      beta2: recipe.adam_beta2!,
      epsilon: recipe.adam_epsilon!,
    }),
  adafactor: (parameters, recipe, common) =>
    adafactor(parameters, {
      ...common,
      beta1: recipe.adafactor_beta1!,
      decayRate: recipe.adafactor_decay_rate!,
      clipThreshold: recipe.adafactor_clip_threshold!,
      epsilon: recipe.adafactor_epsilon!,
      scaleParameter: recipe.adafactor_scale_parameter!,
      scaleEpsilon: recipe.adafactor_scale_epsilon!,
    }),
  lion: (parameters, recipe, common) =>
    lion(parameters, { ...common, beta1: recipe.lion_beta1!, beta2: recipe.lion_beta2! }),
  sgd: (parameters, recipe, common) =>
    sgd(parameters, { ...common, momentum: recipe.momentum!, nesterov: recipe.nesterov! }),
};

/** The optimiser that a recipe names, for these parameters. */
export function optimiserOf(recipe: OptimisationRecipe, parameters: Parameters): Optimiser {
  return makers[recipe.optimiser](parameters, recipe, { weightDecay: recipe.weight_decay });
}
