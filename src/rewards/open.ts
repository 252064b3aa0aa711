import { RecipeError, type RewardModel, type RewardRecipe } from "../schema/index.ts";
import type { RewardComponent, RewardContext } from "./component.ts";
import { composeRewards, type WeightedComponent } from "./compose.ts";
import { checksName } from "./recipe-checks.ts";
import { openers } from "./registry.ts";

/**
 * Opens the rewards of a recipe as one: their weighted mean, clipped and behind gates as it says. Models are found and their tokenizers read, but no weights
 * yet, and no endpoint is called. Throws RecipeError for rewards that can't be told apart, for a rubric without its
 * placeholders and for a scale that can't be read; ModelError and EnvironmentError where a model or a key is missing.
 */
export async function openRewards(recipes: readonly RewardRecipe[], context: RewardContext): Promise<RewardModel> {
  refuseDoubles(recipes);
  const opened: WeightedComponent[] = [];
  try {
    for (const [index, recipe] of recipes.entries())
      opened.push({ component: await openOne(recipe, context, `rewards.${index}`), ...shareOf(recipe) });
    return composeRewards(opened);
  } catch (error) {
    await Promise.allSettled(opened.map(({ component }) => component.close()));
    throw error;
  }
}

/** Opens one reward, which stands at `field`, and closes it again. @throws as `openRewards` */
export async function tryReward(recipe: RewardRecipe, context: RewardContext, field: string): Promise<void> {
  await (await openOne(recipe, context, field)).close();
}

const shareOf = ({ weight, clip, gate, otherwise = 0 }: RewardRecipe): Omit<WeightedComponent, "component"> => ({
  weight,
  ...(clip === undefined ? {} : { clip }),
  ...(gate === undefined ? {} : { gate: { least: gate, otherwise } }),
});

function openOne<Recipe extends RewardRecipe>(
  recipe: Recipe,
  context: RewardContext,
  field: string,
): RewardComponent | Promise<RewardComponent> {
  const open = openers[recipe.kind] as (recipe: Recipe, context: RewardContext, field: string) => RewardComponent;
  return open(recipe, context, field);
}

function refuseDoubles(recipes: readonly RewardRecipe[]): void {
  const seen = new Set<string>();
  for (const [index, recipe] of recipes.entries()) {
    const name =
      recipe.kind === "checks" ? checksName(recipe) : "name" in recipe ? `${recipe.kind} ${recipe.name}` : recipe.kind;
    if (seen.has(name))
      throw new RecipeError(`there are two rewards "${name}"`, {
        field: `rewards.${index}`,
        hint: "Give each a `name` of its own.",
      });
    seen.add(name);
  }
}
