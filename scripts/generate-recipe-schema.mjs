// Writes recipes/recipe.schema.json, by which editors check and complete recipes.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { recipeJsonSchema } from "../dist/schema/index.js";

const file = fileURLToPath(new URL("../recipes/recipe.schema.json", import.meta.url));
writeFileSync(file, JSON.stringify(recipeJsonSchema()));
execFileSync("npx", ["biome", "format", "--write", file], { stdio: "inherit" });
