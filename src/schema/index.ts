export * from "./cache.ts";
export * from "./errors.ts";
export * from "./interfaces.ts";
export * from "./key.ts";
export * from "./nearest.ts";
export * from "./philox.ts";
export * from "./recipe.ts";
export { type LoadedRecipe, loadRecipe, recipeJsonSchema, resolvedHeader, resolvedYaml } from "./recipe-file.ts";
export * from "./records.ts";
