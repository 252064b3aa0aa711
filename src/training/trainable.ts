import type { Decoder } from "../models/index.ts";
import { adapterTensors, nameMatcher, type ParameterRule, type Parameters, withoutNumbers } from "../nn/index.ts";
import { type OptimisationRecipe, TrainingError } from "../schema/index.ts";
import type { Tensor } from "../torch/index.ts";

type WeightRules = Pick<
  OptimisationRecipe,
  "frozen" | "weight_decay" | "weight_decay_rules" | "layer_learning_rate_decay"
>;

function matching(pattern: string, names: readonly string[], field: string): (name: string) => boolean {
  const matches = nameMatcher(pattern);
  if (names.some(matches)) return matches;
  throw new TrainingError(`${pattern} matches no weight`, {
    field,
    hint: `The weights are ${withoutNumbers(names).join(", ")}.`,
  });
}

/**
 * The names of the weights that a recipe trains, of all these.
 *
 * @throws TrainingError where a pattern of the recipe matches none, or nothing is left to train.
 */
export function trainedNames(recipe: WeightRules, all: Iterable<string>): string[] {
  const names = [...all];
  const frozen = recipe.frozen.map((pattern, k) => matching(pattern, names, `frozen.${k}`));
  const trained = names.filter((name) => !frozen.some((matches) => matches(name)));
  if (trained.length === 0)
    throw new TrainingError("every weight is frozen: there is nothing to train", { field: "frozen" });
  for (const [k, { match }] of recipe.weight_decay_rules.entries())
    matching(match, trained, `weight_decay_rules.${k}.match`);
  return trained;
}

/** Whether a training drops inputs. */
export const drops = ({ lora }: Pick<OptimisationRecipe, "lora">): boolean => lora !== undefined && lora.dropout > 0;

/**
 * What a recipe trains of a model: of its adapters' tensors where it has adapters, else of its weights.
 *
 * @throws TrainingError as `trainedNames`, and where recipe and model differ about adapters.
 */
export function trainedWeights(model: Decoder, recipe: OptimisationRecipe): Parameters {
  if ((recipe.lora === undefined) !== (model.adapters === undefined))
    throw new TrainingError(
      recipe.lora === undefined
        ? "the model has adapters, and the recipe's training no lora"
        : "the recipe trains adapters by lora, and the model has none",
      { hint: "createAdapters makes them; without adapters all weights are trained." },
    );
  const all = model.adapters === undefined ? model.parameters : adapterTensors(model.adapters);
  return new Map(trainedNames(recipe, all.keys()).map((name) => [name, all.get(name)!]));
}

/**
 * Decay and learning rate of each weight of a model with so many layers. Biases and norms, everything of one dimension,
 * have no decay unless a rule of the recipe says so.
 */
export function weightRule(recipe: WeightRules, layers: number): (name: string, weight: Tensor) => ParameterRule {
  const rules = recipe.weight_decay_rules.map(({ match, weight_decay }) => ({
    matches: nameMatcher(match),
    weight_decay,
  }));
  /** How far below the output a weight stands, in layers. */
  const depth = (name: string): number => {
    const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
    if (layer !== undefined) return layers - Number(layer);
    return name.startsWith("model.embed_tokens.") ? layers + 1 : 0;
  };
  return (name, { shape }) => ({
    rateFactor: recipe.layer_learning_rate_decay ** depth(name),
    weightDecay:
      rules.find(({ matches }) => matches(name))?.weight_decay ?? (shape.length < 2 ? 0 : recipe.weight_decay),
  });
}
