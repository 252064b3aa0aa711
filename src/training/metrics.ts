import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** One optimiser step's figures, under the names that the community plots. */
export type StepMetrics = Readonly<Record<string, number>> & { readonly step: number };

/** A JSONL file with a line a step. */
export interface MetricsFile {
  write(metrics: StepMetrics): void;
}

/** Opens the file for a training that goes on after `step` steps: later lines, of steps that will be done again, are dropped. */
export function openMetrics(file: string, step: number): MetricsFile {
  mkdirSync(dirname(file), { recursive: true });
  const kept = existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "" && stepOf(line) <= step)
    : [];
  writeFileSync(`${file}.partial`, kept.map((line) => `${line}\n`).join(""));
  renameSync(`${file}.partial`, file);
  return { write: (metrics) => appendFileSync(file, `${JSON.stringify(metrics)}\n`) };
}

/** A line that was cut off by a kill belongs to no step. */
function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as StepMetrics).step;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
