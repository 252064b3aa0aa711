import type { RewardRecipe } from "../schema/index.ts";
import { checksComponent } from "./checks-component.ts";
import { codeComponent } from "./code/index.ts";
import type { RewardComponent, RewardContext } from "./component.ts";
import { endpointComponent } from "./endpoint/index.ts";
import { openJudge } from "./judge/index.ts";
import { openRewardModel } from "./reward-model/index.ts";

type RecipeOf<Kind extends RewardRecipe["kind"]> = Extract<RewardRecipe, { kind: Kind }>;

/**
 * How each kind of reward is opened; `field` is where its recipe stands. A further kind is a file that gives a
 * RewardComponent and a line here; the compiler asks for the line once the recipe's schema knows the kind.
 */
export const openers: {
  readonly [Kind in RewardRecipe["kind"]]: (
    recipe: RecipeOf<Kind>,
    context: RewardContext,
    field: string,
  ) => RewardComponent | Promise<RewardComponent>;
} = {
  checks: (recipe) => checksComponent(recipe),
  code: codeComponent,
  endpoint: endpointComponent,
  judge: openJudge,
  model: openRewardModel,
};
