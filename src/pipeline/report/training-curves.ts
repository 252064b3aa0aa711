import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import { DataError } from "../../schema/index.ts";

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
  /** Steps that one point stands for, at most. */
  readonly stepsAPoint: number;
  readonly curves: readonly Curve[];
}

/** Every figure by its name; what is not a number (a diverged NaN is null in JSON) is no point of a curve. */
const rowSchema = z.looseObject({ step: z.int().min(0) });
type Row = z.infer<typeof rowSchema>;

const pointsAtMost = 200;

/**
 * Reads a metrics file, a JSON object a line, as the trainer writes it. Null where there is none or it is empty. A last
 * line that a kill cut off is left away; any other broken line throws DataError with its number.
 */
export function readTrainingCurves(file: string): TrainingCurves | null {
  if (!existsSync(file)) return null;
  const rows = parseRows(readFileSync(file, "utf8"), file);
  if (rows.length === 0) return null;
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== "step");
  const stepsAPoint = Math.ceil(rows.length / pointsAtMost);
  const curves = names.map((name) => ({ name, points: pointsOf(rows, name, stepsAPoint) }));
  return { steps: rows.length, stepsAPoint, curves: curves.filter(({ points }) => points.length > 0) };
}

function parseRows(text: string, file: string): Row[] {
  const lines = text.split("\n");
  const cutOff = lines.pop();
  const rows = lines.flatMap((line, index) => (line.trim() === "" ? [] : [parseRow(line, file, index + 1)]));
  if (cutOff === undefined || cutOff.trim() === "") return rows;
  try {
    rows.push(parseRow(cutOff, file, lines.length + 1));
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
  }
  return rows;
}

function parseRow(line: string, file: string, number: number): Row {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw broken(file, number, cause);
  }
  const parsed = rowSchema.safeParse(value);
  if (!parsed.success) throw broken(file, number, parsed.error);
  return parsed.data;
}

const broken = (file: string, line: number, cause: unknown) =>
  new DataError("this line of the metrics is no JSON object with a step", {
    file,
    line,
    cause,
    hint: "Take the line out: the other steps are shown.",
  });

function pointsOf(rows: readonly Row[], name: string, stepsAPoint: number): CurvePoint[] {
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
