import type { DataTrainingReport } from "../pipeline/index.ts";
import { formatFigure, formatSeconds } from "./format.ts";

/** What `amalgam train --data` prints in the end. */
export function trainingText(report: DataTrainingReport): string {
  const { model, doneBefore, rows, steps, skippedSteps, smallerSteps, last, evaluation, bestStep, seconds } = report;
  if (doneBefore) return `The model stands already, made from these data and settings: ${model}`;
  const loss = last?.loss === undefined ? "" : `, loss ${formatFigure(last.loss)} at the last`;
  const left = rows.leftOut.map(({ rows: count, reason }) => `  left out: ${count} (${reason})`);
  return [
    `Rows:  ${rows.learnt} of ${rows.read}`,
    ...left,
    ...(rows.heldOut > 0 ? [`  to evaluate on: ${rows.heldOut}`] : []),
    ...(rows.unused > 0 ? [`  not reached: ${rows.unused}`] : []),
    ...(rows.shortened > 0 ? [`  prompts that lost their beginning: ${rows.shortened}`] : []),
    ...(rows.cut > 0 ? [`  rows whose responses lost their ends: ${rows.cut}`] : []),
    `Steps: ${steps}${loss}, ${formatSeconds(seconds)}`,
    ...(skippedSteps > 0 ? [`  skipped, as loss or gradient was not finite: ${skippedSteps}`] : []),
    ...(smallerSteps > 0 ? [`  with a batch that was smaller by rows left out: ${smallerSteps}`] : []),
    ...(evaluation === null ? [] : [`  ${figuresOf(evaluation)}`]),
    ...(bestStep === undefined ? [] : [`  the model is that of step ${bestStep}, the best`]),
    `Model: ${model}`,
  ].join("\n");
}

/** The figures of an evaluation that people look at first. */
function figuresOf(evaluation: NonNullable<DataTrainingReport["evaluation"]>): string {
  const named = { loss: "eval/loss", accuracy: "eval/rewards/accuracies" };
  const shown = Object.entries(named).flatMap(([word, name]) =>
    evaluation[name] === undefined ? [] : [`${word} ${formatFigure(evaluation[name])}`],
  );
  return `on the rows held out, after step ${evaluation.step}: ${shown.join(", ")}`;
}
