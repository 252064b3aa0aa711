import { join } from "node:path";
import { fusedOf, measuredWhere, type SweepReport, type SweepStatus } from "../pipeline/index.ts";
import { formatFigure, formatShare, table } from "./format.ts";
import { stageWords } from "./progress.ts";

const interval = ({ low, high }: { readonly low: number; readonly high: number }, show = formatFigure) =>
  `${show(low)} to ${show(high)}`;

/** What `amalgam sweep` prints in the end: a row for each variant, and where the rest lies. */
export function sweepText({ variants }: SweepReport, folder: string): string {
  const figure = (value: number | null | undefined) =>
    value === null || value === undefined ? "" : formatFigure(value);
  const rows = variants.map(({ name, models, training, done, error }) => {
    const fused = fusedOf({ models });
    const compared = fused?.comparison;
    return [
      name,
      figure(fused?.reward.mean),
      fused === undefined ? "" : interval(fused.reward.interval),
      compared ? formatShare(compared.winRate) : "",
      compared ? interval(compared.winRateInterval, formatShare) : "",
      training?.accuracy == null ? "" : formatShare(training.accuracy),
      figure(training?.margin),
      figure(training?.loss),
      error !== undefined ? "failed" : done ? "done" : "not done",
    ];
  });
  const head = [
    "Variant",
    "Reward",
    "95 % interval",
    "Win rate",
    "95 % interval",
    "Accuracy",
    "Margin",
    "Loss",
    "State",
  ];
  const untuned = variants.flatMap(({ models }) => models?.find(({ comparison }) => comparison === null) ?? [])[0];
  const baseline =
    untuned === undefined
      ? []
      : [`The untuned target: ${formatFigure(untuned.reward.mean)} (${interval(untuned.reward.interval)})`];
  const where = measuredWhere(variants);
  return [
    "Rewards of the fused models on held-out prompts, win rates against the untuned target:",
    ...table(head, rows),
    ...baseline,
    ...(where === undefined ? [] : [`Accuracy, margin and loss: ${where}.`]),
    ...variants.flatMap(({ name, error }) => (error === undefined ? [] : ["", `${name} failed: ${error}`])),
    "",
    `Figures: ${join(folder, "sweep.html")}`,
  ].join("\n");
}

/** What `amalgam status` prints of a sweep. */
export function sweepStatusText({ folder, name, variants }: SweepStatus): string {
  const rows = variants.map(({ name: variant, state, stage, stagesDone, stages }) => [
    variant,
    state,
    stages === 0 ? "" : `${stagesDone} of ${stages}`,
    stage === undefined ? "" : stageWords[stage],
  ]);
  const done = variants.filter(({ state }) => state === "done").length;
  return [
    `Sweep ${name} in ${folder}`,
    `${done} of ${variants.length} variants are done. More of one: amalgam status ${join(folder, "VARIANT")}`,
    "",
    ...table(["Variant", "State", "Stages", "At"], rows),
  ].join("\n");
}
