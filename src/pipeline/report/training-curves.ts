import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";

/** One metric over the optimiser steps. Of a long training each point stands for several steps. */
export interface Curve {
  readonly name: string;
  readonly points: readonly CurvePoint[];
}

export interface CurvePoint {
  /** The last of the steps that it stands for. */
  readonly step: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface TrainingCurves {
  readonly steps: number;
  /** Lines of the file that are no step. */
  readonly unreadable: number;
  /** Steps that one point stands for, at most. */
  readonly stepsAPoint: number;
  readonly curves: readonly Curve[];
}

/** Every figure by its name; what is not a number (a diverged NaN is null in JSON) is no point of a curve. */
const rowSchema = z.looseObject({ step: z.int().min(0) });
export type MetricsRow = z.infer<typeof rowSchema>;

const pointsAtMost = 200;

/**
 * Reads a metrics file, a JSON object a line, as the trainer writes it. Null where there is none or it holds no step.
 * Broken lines (a kill cuts off the last one) are counted, never guessed at.
 */
export function readTrainingCurves(file: string): TrainingCurves | null {
  const { rows, unreadable } = readMetrics(file);
  if (rows.length === 0) return null;
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== "step");
  const stepsAPoint = Math.ceil(rows.length / pointsAtMost);
  const curves = names.map((name) => ({ name, points: pointsOf(rows, name, stepsAPoint) }));
  return {
    // Evaluations have lines of their own, one of them before the first step.
    steps: new Set(rows.map(({ step }) => step).filter((step) => step > 0)).size,
    unreadable,
    stepsAPoint,
    curves: curves.filter(({ points }) => points.length > 0),
  };
}

/** The lines of a metrics file, none where there is no file; those that are broken are counted. */
export function readMetrics(file: string): { readonly rows: readonly MetricsRow[]; readonly unreadable: number } {
  if (!existsSync(file)) return { rows: [], unreadable: 0 };
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "");
  const rows = lines.flatMap((line) => parseRow(line) ?? []);
  return { rows, unreadable: lines.length - rows.length };
}

function parseRow(line: string): MetricsRow | undefined {
  try {
    return rowSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

function pointsOf(rows: readonly MetricsRow[], name: string, stepsAPoint: number): CurvePoint[] {
  const points: CurvePoint[] = [];
  for (let start = 0; start < rows.length; start += stepsAPoint) {
    const some = rows.slice(start, start + stepsAPoint).filter((row) => Number.isFinite(row[name]));
    const values = some.map((row) => row[name] as number);
    if (values.length === 0) continue;
    points.push({
      step: some.at(-1)!.step,
      mean: values.reduce((sum, value) => sum + value, 0) / values.length,
      low: Math.min(...values),
      high: Math.max(...values),
    });
  }
  return points;
}
