import { type LoadedSweep, replaceFile } from "../../schema/index.ts";
import { explainDisk } from "../disk.ts";
import { thisMachine } from "../report/index.ts";
import { sweepPaths } from "./plan.ts";
import type { DrawnResult, VariantResult } from "./results.ts";
import { sweepHtml } from "./sweep-html.ts";

/** What `sweep.json` holds. */
export interface SweepReport {
  readonly name: string;
  /** The sweep's file and the recipe that its variants have in common. */
  readonly file: string;
  readonly recipe: string;
  /** ISO 8601. */
  readonly madeAt: string;
  readonly machine: string;
  readonly grid: LoadedSweep["grid"];
  readonly variants: readonly VariantResult[];
}

/** A report with what only figures show. */
export interface DrawnReport extends SweepReport {
  readonly variants: readonly DrawnResult[];
}

/** Writes `sweep.json` and `sweep.html`, each as a whole, and returns what the former holds. */
export function writeSweep(folder: string, sweep: LoadedSweep, results: readonly DrawnResult[]): SweepReport {
  const { name, file, recipeFile, grid } = sweep;
  const common = { name, file, recipe: recipeFile, madeAt: new Date().toISOString(), machine: thisMachine(), grid };
  const drawn: DrawnReport = { ...common, variants: results };
  const report: SweepReport = {
    ...common,
    variants: results.map(({ curves: _, logProbs: __, ...result }) => result),
  };
  const { json, html } = sweepPaths(folder);
  const page = sweepHtml(drawn);
  try {
    replaceFile(json, `${JSON.stringify(report, null, 2)}\n`);
    replaceFile(html, page);
  } catch (error) {
    throw explainDisk(error, folder);
  }
  return report;
}
