import type { ModelRecipe } from "../schema/index.ts";

/** How a recipe names a model, in words. */
export const modelName = ({ model, adapter }: Pick<ModelRecipe, "model" | "adapter">): string =>
  adapter === undefined ? model : `${model} with the adapters of ${adapter}`;
