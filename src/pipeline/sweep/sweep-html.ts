import { figure, figures, notYet, section, table } from "../report/elements.ts";
import { type Html, html } from "../report/escape.ts";
import { barsWithIntervals } from "../report/figures.ts";
import {
  counted,
  date,
  duration,
  integer,
  interval,
  number,
  percent,
  probability,
  reward,
  signed,
} from "../report/format.ts";
import { modelName } from "../report/names.ts";
import { pageHtml } from "../report/page.ts";
import { logProbFigures } from "../report/section-log-probs.ts";
import { type DrawnResult, fusedOf, measuredWhere } from "./results.ts";
import { axisSection, curveSection } from "./sweep-figures.ts";
import type { DrawnReport } from "./write.ts";

/** The comparison of a sweep's variants as one page that needs nothing else; it may be at any stage. */
export function sweepHtml(report: DrawnReport): string {
  const { name, variants, madeAt, machine, file, recipe } = report;
  const done = variants.filter((variant) => variant.done).length;
  return pageHtml(
    `${name}: a sweep by Amalgam`,
    html`<header><h1>${name}</h1>
<p class="soft">A sweep by Amalgam: ${done} of ${counted(variants.length, "variant")} done. Report of ${date(madeAt)}.<br>
<code>${file}</code> on <code>${recipe}</code>.<br>${machine}.</p></header>
${errorSection(variants)}${resultSection(variants)}${axisSection(report)}${curveSection(variants)}
${logProbsSection(variants)}${sharingSection(variants)}`,
  );
}

function errorSection(variants: readonly DrawnResult[]): Html {
  const failed = variants.flatMap(({ name, error }) => (error === undefined ? [] : [{ name, error }]));
  if (failed.length === 0) return html``;
  return html`<div class="verdict bad"><strong>${counted(failed.length, "variant")} failed.</strong>
${failed.map(({ name, error }) => html`<p><b>${name}</b>: ${error}</p>\n`)}</div>\n`;
}

function resultSection(variants: readonly DrawnResult[]): Html {
  const title = "Held-out prompts";
  const evaluated = variants.filter(({ models }) => models !== null);
  if (evaluated.length === 0) return section(title, notYet("no variant was evaluated"));
  const baseline = evaluated[0]!.models!.find(({ comparison }) => comparison === null)!;
  const rows = [
    { label: modelName(baseline.label), mean: baseline.reward, colour: "baseline" as const },
    ...evaluated.map((variant) => ({
      label: variant.name,
      mean: fusedOf(variant)!.reward,
      colour: "series-1" as const,
    })),
  ];
  const first = evaluated[0]!.name;
  return section(
    title,
    html`<p>Each variant's fused model on ${counted(baseline.reward.prompts, "prompt")} that no training saw. A prompt counts
by the mean reward of its responses. Intervals: 95 %, bootstrap over prompts, paired for differences. They say nothing of how
another seed of the training would have come out, and many comparisons find a difference by chance: one in twenty at
p = 0.05.</p>\n`,
    figures(
      [
        figure(
          barsWithIntervals(
            "Mean reward of each variant's fused model with its 95 % interval",
            rows.map(({ label, mean, colour }) => ({
              label,
              note: `${reward(mean.mean)}  (${interval(mean.interval)})`,
              colour,
              value: mean.mean,
              interval: mean.interval,
            })),
          ),
          "Mean reward of each variant's fused model with its 95 % interval; grey: the untuned target.",
        ),
      ],
      true,
    ),
    resultTable(variants, first),
  );
}

const dash = "\u2013";
const twoLines = (first: string, second: string): Html => html`${first}<br><span class="soft">${second}</span>`;

function resultTable(variants: readonly DrawnResult[], first: string): Html {
  type Row = DrawnResult;
  const ofFused = (show: (model: NonNullable<ReturnType<typeof fusedOf>>) => Html | string) => (row: Row) => {
    const model = fusedOf(row);
    return model === undefined ? dash : show(model);
  };
  const ofTraining = (show: (training: NonNullable<Row["training"]>) => string) => (row: Row) =>
    row.training === null ? dash : show(row.training);
  const maybe = (value: number | null, show: (value: number) => string) => (value === null ? dash : show(value));
  return table<Row>(
    `Below each figure its 95 % interval. Accuracy, hybrid accuracy (y_ws above y_l), margin and loss: ${measuredWhere(variants) ?? "not yet"}. Losses of different objectives don't compare.`,
    [
      { head: "Variant", cell: ({ name }) => name },
      {
        head: "Reward",
        kind: "figure",
        cell: ofFused(({ reward: mean }) => twoLines(reward(mean.mean), interval(mean.interval))),
      },
      {
        head: "To untuned",
        kind: "figure",
        cell: ofFused(({ comparison }) =>
          comparison === null ? dash : twoLines(signed(comparison.difference), interval(comparison.interval, signed)),
        ),
      },
      {
        head: "Win rate",
        kind: "figure",
        cell: ofFused(({ comparison }) =>
          comparison === null
            ? dash
            : twoLines(percent(comparison.winRate), interval(comparison.winRateInterval, percent)),
        ),
      },
      {
        head: `To ${first}`,
        kind: "figure",
        cell: ({ against }) =>
          against === null
            ? dash
            : twoLines(
                `${signed(against.comparison.difference)}, p ${probability(against.comparison.pValue)}`,
                interval(against.comparison.interval, signed),
              ),
      },
      {
        head: "Tokens",
        kind: "figure",
        cell: ofFused(({ meanResponseTokens }) => maybe(meanResponseTokens, (mean) => mean.toFixed(1))),
      },
      { head: "Accuracy", kind: "figure", cell: ofTraining(({ accuracy }) => maybe(accuracy, percent)) },
      { head: "Hybrid", kind: "figure", cell: ofTraining(({ sourceAccuracy }) => maybe(sourceAccuracy, percent)) },
      { head: "Margin", kind: "figure", cell: ofTraining(({ margin }) => maybe(margin, number)) },
      { head: "Loss", kind: "figure", cell: ofTraining(({ loss }) => maybe(loss, number)) },
      { head: "Steps", kind: "figure", cell: ofTraining(({ steps }) => integer(steps)) },
    ],
    variants,
  );
}

function logProbsSection(variants: readonly DrawnResult[]): Html {
  const asked = variants.filter(({ logProbs }) => logProbs !== null);
  if (asked.length === 0) return html``;
  return section(
    "How probable the responses are",
    html`<p>The responses that each variant's WRPO learns from, under the models of that variant: y_ws of the sources, y_wt
and y_l of the model that WRPO starts from.</p>\n`,
    ...asked.map(({ name, logProbs }) => html`<h3>${name}</h3>\n${logProbFigures(logProbs!)}`),
  );
}

function sharingSection(variants: readonly DrawnResult[]): Html {
  const settingsOf = ({ settings }: DrawnResult) =>
    Object.entries(settings)
      .map(([field, value]) => `${field} ${typeof value === "string" ? value : JSON.stringify(value)}`)
      .join(", ") || "as the sweep's recipe";
  return section(
    "The variants",
    table<DrawnResult>(
      "Each is a run in a folder of its name. Stages that two variants have in common were done once, and taken over as a copy.",
      [
        { head: "Variant", cell: ({ name }) => name },
        { head: "What it has otherwise", cell: settingsOf },
        {
          head: "Taken over",
          cell: ({ seed }) =>
            seed === undefined ? dash : `${counted(seed.stages.length, "stage")} and the ledger of ${seed.from}`,
        },
        { head: "Own time", kind: "figure", cell: ({ seconds }) => (seconds === 0 ? dash : duration(seconds)) },
        { head: "State", cell: ({ done, error }) => (error !== undefined ? "failed" : done ? "done" : "not done") },
      ],
      variants,
    ),
  );
}
