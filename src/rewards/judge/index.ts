import type { RewardRecipe } from "../../schema/index.ts";
import type { RewardComponent, RewardContext } from "../component.ts";
import { embeddedReader } from "./embedded.ts";
import { embeddedWriter } from "./embedded-writer.ts";
import { endpointReader } from "./endpoint.ts";
import { endpointWriter } from "./endpoint-writer.ts";
import { judgeComponent } from "./judge.ts";

export type JudgeRecipe = Extract<RewardRecipe, { kind: "judge" }>;

/** Opens a judge, on this machine or at an endpoint. `field` is where its recipe stands, for errors. */
export function openJudge(recipe: JudgeRecipe, context: RewardContext, field: string): Promise<RewardComponent> {
  const { scale, answer } = recipe;
  return judgeComponent(recipe, field, async () => {
    if ("endpoint" in recipe)
      return answer === "probabilities"
        ? endpointReader(recipe.endpoint, scale, field, context.endpoint)
        : endpointWriter(recipe.endpoint, scale, answer, field, context.endpoint);
    const files = await context.modelFiles(recipe);
    return answer === "probabilities"
      ? embeddedReader(files, recipe, scale, field)
      : embeddedWriter(files, recipe, scale, answer);
  });
}
