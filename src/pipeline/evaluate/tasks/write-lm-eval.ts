import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../../../schema/index.ts";
import { lmEvalResults } from "./lm-eval-results.ts";
import type { TaskRun } from "./runs.ts";

/** Writes what lm-eval would of each model: `<model>/results.json`, and `samples_<task>.jsonl` of each task beside it. */
export function writeLmEval(folder: string, runs: readonly TaskRun[]): void {
  for (const run of runs) {
    const own = join(folder, run.model);
    mkdirSync(own, { recursive: true });
    const { results, samples } = lmEvalResults(run.model, [run]);
    replaceFile(join(own, "results.json"), `${JSON.stringify(results, null, 2)}\n`);
    for (const [task, rows] of samples)
      replaceFile(join(own, `samples_${task}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }
}
