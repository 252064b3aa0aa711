import type { RewardRecipe } from "../../schema/index.ts";
import type { RewardComponent, RewardContext } from "../component.ts";
import { embeddedReader } from "./embedded.ts";
import { endpointReader } from "./endpoint.ts";
import { judgeComponent } from "./judge.ts";

export type JudgeRecipe = Extract<RewardRecipe, { kind: "judge" }>;

/** Opens a judge, on this machine or at an endpoint. `field` is where its recipe stands, for errors. */
export function openJudge(recipe: JudgeRecipe, context: RewardContext, field: string): Promise<RewardComponent> {
  return judgeComponent(recipe, field, async () =>
    "endpoint" in recipe
      ? endpointReader(recipe.endpoint, recipe.scale, field, context.endpoint)
      : embeddedReader(await context.modelFiles(recipe), recipe, recipe.scale, field),
  );
}
