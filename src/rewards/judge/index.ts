import type { RewardRecipe } from "../../schema/index.ts";
import type { RewardComponent, RewardContext } from "../component.ts";
import { comparisonComponent } from "./compare.ts";
import { embeddedReader } from "./embedded.ts";
import { embeddedWriter } from "./embedded-writer.ts";
import { endpointReader } from "./endpoint.ts";
import { endpointWriter } from "./endpoint-writer.ts";
import { judgeComponent } from "./judge.ts";
import type { Scale } from "./scale.ts";

export type JudgeRecipe = Extract<RewardRecipe, { kind: "judge" }>;

/** Opens a judge, on this machine or at an endpoint. `field` is where its recipe stands, for errors. */
export function openJudge(recipe: JudgeRecipe, context: RewardContext, field: string): Promise<RewardComponent> {
  const { answer, compare } = recipe;
  const open = async (scale: Scale) => {
    if ("endpoint" in recipe)
      return answer === "probabilities"
        ? endpointReader(recipe.endpoint, scale, field, context.endpoint)
        : endpointWriter(recipe.endpoint, scale, answer, field, context.endpoint);
    const files = await context.modelFiles(recipe);
    return answer === "probabilities"
      ? embeddedReader(files, recipe, scale, field)
      : embeddedWriter(files, recipe, scale, answer);
  };
  if (compare !== undefined) return comparisonComponent({ ...recipe, compare }, field, open, context.endpoint?.notice);
  return judgeComponent(recipe, field, () => open(recipe.scale));
}
