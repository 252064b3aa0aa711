import {
  type AveragingOptimiser,
  adafactor,
  adamW,
  averaging,
  lion,
  type Optimiser,
  type ParameterRule,
  type Parameters,
  type Schedule,
  schedule,
  sgd,
  stepsOf,
} from "../nn/index.ts";
import { type OptimisationRecipe, type OptimiserName, TrainingError } from "../schema/index.ts";
import type { Tensor } from "../torch/index.ts";
import { weightRule } from "./trainable.ts";

type Maker = (parameters: Parameters, recipe: OptimisationRecipe, common: Common) => Optimiser;

interface Common {
  readonly weightDecay: number;
  readonly rule: (name: string, parameter: Tensor) => ParameterRule;
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

/** The optimiser that a recipe names, for these parameters of a model with so many layers; it averages them where the recipe says so. */
export function optimiserOf(
  recipe: OptimisationRecipe,
  parameters: Parameters,
  layers: number,
): Optimiser & Partial<AveragingOptimiser> {
  const common = { weightDecay: recipe.weight_decay, rule: weightRule(recipe, layers) };
  const optimiser = makers[recipe.optimiser](parameters, recipe, common);
  return recipe.ema_decay === undefined ? optimiser : averaging(optimiser, parameters, recipe.ema_decay);
}

/**
 * Factors on the recipe's learning rate by the optimiser step.
 *
 * @throws TrainingError where a warm-up given in steps takes all of them: the learning rate would never be reached.
 */
export function scheduleOf(recipe: OptimisationRecipe, totalSteps: number): Schedule {
  const { warmup_steps: given, warmup_ratio: ratio } = recipe;
  if (given !== undefined && given > 0 && given >= totalSteps)
    throw new TrainingError(`warmup_steps (${given}) takes all ${totalSteps} steps of the training`, {
      hint: "Lower warmup_steps, or write a warmup_ratio in its place.",
    });
  const warmupSteps = given ?? stepsOf(ratio!, totalSteps);
  const ending =
    recipe.schedule === "wsd"
      ? { decaySteps: stepsOf(recipe.decay_ratio!, totalSteps), shape: recipe.decay_shape! }
      : undefined;
  return schedule(recipe.schedule, { warmupSteps, totalSteps }, ending);
}
