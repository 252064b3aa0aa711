import { join } from "node:path";
import { type BenchmarkRecipeOf, loadSuite } from "../../../schema/index.ts";
import { newFolder, writeLines } from "./judged-world.ts";

type Kind = "arena_hard" | "mt_bench";

/** A benchmark as a suite has it, its defaults filled in. The files that it names must be there. */
export function benchmarkRecipe<K extends Kind>(fields: {
  readonly kind: K;
  readonly [field: string]: unknown;
}): BenchmarkRecipeOf<K> {
  const judge = { endpoint: { url: "http://localhost:1/v1", model: "judge" } };
  const folder = newFolder();
  // JSON is YAML.
  writeLines(folder, "suite.yaml", [{ judge, benchmarks: [fields] }]);
  return loadSuite(join(folder, "suite.yaml")).suite.benchmarks[0] as BenchmarkRecipeOf<K>;
}
