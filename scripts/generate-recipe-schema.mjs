// Writes recipes/recipe.schema.json, recipes/sweep.schema.json and suites/suite.schema.json, by which editors check and complete such files.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { recipeJsonSchema, suiteJsonSchema, sweepJsonSchema } from "../dist/schema/index.js";

for (const [path, schema] of [
  ["recipes/recipe", recipeJsonSchema()],
  ["recipes/sweep", sweepJsonSchema()],
  ["suites/suite", suiteJsonSchema()],
]) {
  const file = fileURLToPath(new URL(`../${path}.schema.json`, import.meta.url));
  writeFileSync(file, JSON.stringify(schema));
  execFileSync("npx", ["biome", "format", "--write", file], { stdio: "inherit" });
}
