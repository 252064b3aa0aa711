import type { DataTrainingReport } from "../pipeline/index.ts";
import { formatFigure, formatSeconds } from "./format.ts";

/** What `amalgam train --data` prints in the end. */
export function trainingText({ model, doneBefore, rows, steps, last, seconds }: DataTrainingReport): string {
  if (doneBefore) return `The model stands already, made from these data and settings: ${model}`;
  const loss = last?.loss === undefined ? "" : `, loss ${formatFigure(last.loss)} at the last`;
  const left = rows.leftOut.map(({ rows: count, reason }) => `  left out: ${count} (${reason})`);
  return [
    `Rows:  ${rows.learnt} of ${rows.read}`,
    ...left,
    ...(rows.shortened > 0 ? [`  prompts that lost their beginning: ${rows.shortened}`] : []),
    `Steps: ${steps}${loss}, ${formatSeconds(seconds)}`,
    `Model: ${model}`,
  ].join("\n");
}
