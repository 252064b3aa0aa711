import type { RunStatus, StageStatus } from "../pipeline/index.ts";
import { formatFigure, formatRate, formatSeconds, formatShare, table } from "./format.ts";
import { stageWords } from "./progress.ts";

/** What `amalgam status` prints. */
export function statusText(status: RunStatus): string {
  const { prompts, writer, selections, comparison } = status;
  const lines = [
    `Run in ${status.folder}`,
    writer === undefined ? "Nobody is working on it now." : `Process ${writer.pid} on ${writer.host} is working on it.`,
    `Prompts: ${prompts.sft} for supervised tuning, ${prompts.wrpo} for preferences, ${prompts.evaluation} held out`,
    "",
    ...table(["Stage", "State", "Done", "Took", "Rate", "Left"], status.stages.map(stageRow)),
  ];
  if (status.draws.length > 0) {
    const rows = status.draws.map(({ stage, source, done, total, failed, unfinished }) => [
      stage,
      source,
      `${done} of ${total}`,
      String(failed),
      String(unfinished),
    ]);
    lines.push("", ...table(["Responses", "Source", "Drawn", "Failed", "Cut off"], rows));
  }
  if (status.scores.length > 0) {
    const rows = status.scores.map(({ stage, reward, done, total, failed }) => [
      stage,
      reward.slice(0, 12),
      `${done} of ${total}`,
      String(failed),
    ]);
    lines.push("", ...table(["Scores", "Reward", "Scored", "Failed"], rows));
  }
  for (const split of ["sft", "wrpo"] as const) {
    const selection = selections[split];
    if (selection !== null) lines.push("", ...contributionLines(split, selection));
  }
  if (comparison !== undefined) lines.push("", ...comparisonLines(comparison));
  const places = [
    ["Tuned model", status.tunedModel],
    ["Fused model", status.fusedModel],
    ["Report", status.report],
  ].filter((row): row is [string, string] => row[1] !== undefined);
  if (places.length > 0) lines.push("", ...places.map(([name, path]) => `${name}: ${path}`));
  return lines.join("\n");
}

function stageRow({ stage, state, done, total, seconds, rate, secondsLeft }: StageStatus): string[] {
  return [
    stageWords[stage],
    state,
    total > 0 ? `${done} of ${total}` : "",
    state === "waiting" ? "" : formatSeconds(seconds),
    rate === undefined ? "" : formatRate(rate),
    secondsLeft === undefined ? "" : formatSeconds(secondsLeft),
  ];
}

type Selection = NonNullable<RunStatus["selections"]["sft"]>;

function contributionLines(split: "sft" | "wrpo", selection: Selection): string[] {
  const { selected, contributions, domains, leftOut, lengthEffect } = selection;
  const names = [...new Set(domains.map(({ domain }) => domain))];
  const head = ["Source", "Chosen", "%", "Best", "Reward", "Wins %", "Equal %", "Scored", "Empty", "Cut off"];
  const rows = [
    ...contributions.map((one) => contributionRow(one, "")),
    ...names.flatMap((name) => [
      [`${name || "no domain"}:`, ...head.slice(1).map(() => "")],
      ...domains.filter(({ domain }) => domain === name).map((one) => contributionRow(one, "  ")),
    ]),
  ];
  const what = split === "sft" ? "supervised tuning" : "preferences";
  return [
    `Selected for ${what}: ${selected} prompts. Whose response stands for y_ws, over all and by domain:`,
    ...table(head, rows),
    "Best: prompts on which it had one as good. Wins: of comparisons with other sources; Equal: of equally long texts.",
    ...(lengthEffect === null
      ? []
      : [`Compared without what length adds: ${formatFigure(lengthEffect.perThousand)} for 1,000 characters.`]),
    ...leftOut.map(({ reason, prompts }) => `Left out: ${prompts} (${reason})`),
  ];
}

function contributionRow(one: Selection["contributions"][number], indent: string): string[] {
  const percent = (share: number | null) => (share === null ? "" : (100 * share).toFixed(1));
  return [
    ...[`${indent}${one.source}`, String(one.chosen), percent(one.chosenShare), String(one.reachedBest)],
    ...[one.meanReward.toFixed(3), percent(one.winShare), percent(one.equalLengthWinShare)],
    ...[String(one.responses), String(one.empty), String(one.unfinished)],
  ];
}

/** The comparison of the models on held-out prompts. */
export function comparisonLines({ models, baseline }: NonNullable<RunStatus["comparison"]>): string[] {
  const rows = models.map(({ label, reward, comparison, unfinished, responses }) => [
    label,
    formatFigure(reward.mean),
    `${formatFigure(reward.interval.low)} to ${formatFigure(reward.interval.high)}`,
    comparison === null ? "" : formatFigure(comparison.difference),
    comparison === null ? "" : `${formatFigure(comparison.interval.low)} to ${formatFigure(comparison.interval.high)}`,
    comparison === null ? "" : formatShare(comparison.winRate),
    `${unfinished} of ${responses}`,
  ]);
  const head = ["Model", "Reward", "95 % interval", "Difference", "95 % interval", "Win rate", "Cut off"];
  return [
    `On held-out prompts, against ${baseline}:`,
    ...table(head, rows),
    ...models.flatMap(({ verdict }) => (verdict === null ? [] : [verdict.sentence])),
  ];
}
