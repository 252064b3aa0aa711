// Writes recipes/recipe.schema.json and recipes/sweep.schema.json, by which editors check and complete recipes and sweeps.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { recipeJsonSchema, sweepJsonSchema } from "../dist/schema/index.js";

for (const [name, schema] of [
  ["recipe", recipeJsonSchema()],
  ["sweep", sweepJsonSchema()],
]) {
  const file = fileURLToPath(new URL(`../recipes/${name}.schema.json`, import.meta.url));
  writeFileSync(file, JSON.stringify(schema));
  execFileSync("npx", ["biome", "format", "--write", file], { stdio: "inherit" });
}
