import { figure, figures, notYet, section } from "./elements.ts";
import { type Html, html } from "./escape.ts";
import { type Colour, lineChart } from "./figures.ts";
import { counted } from "./format.ts";
import type { ReportData } from "./report-data.ts";
import type { TrainingCurves } from "./training-curves.ts";

interface Chart {
  readonly title: string;
  readonly metrics: Readonly<Record<string, Colour>>;
  /** A metric without which the chart is not drawn, or with which it is not. */
  readonly needs?: string;
  readonly unless?: string;
}

/** Charts in their order, each with the metrics that it draws. What no chart names stands in the metrics file alone. */
const charts: readonly Chart[] = [
  { title: "loss", metrics: { loss: "series-1", "eval/loss": "series-3" } },
  { title: "rewards/margins", metrics: { "rewards/margins": "series-1" } },
  { title: "rewards/accuracies", metrics: { "rewards/accuracies": "series-1", "eval/rewards/accuracies": "series-3" } },
  {
    title: "internal rewards of y_w, y_l",
    unless: "rewards/source_chosen",
    metrics: { "rewards/chosen": "series-1", "rewards/rejected": "series-5" },
  },
  {
    title: "internal rewards of y_ws, y_wt, y_l",
    needs: "rewards/source_chosen",
    metrics: {
      "rewards/source_chosen": "series-3",
      "rewards/target_chosen": "series-1",
      "rewards/rejected": "series-5",
    },
  },
  { title: "cur_alpha", metrics: { cur_alpha: "series-4" } },
  { title: "grad_norm", metrics: { grad_norm: "series-2" } },
  { title: "learning_rate", metrics: { learning_rate: "series-6" } },
  { title: "tokens_per_second", metrics: { tokens_per_second: "series-8" } },
];

const shortNames: Readonly<Record<string, string>> = {
  loss: "trained on (blue)",
  "eval/loss": "held out (orange)",
  "rewards/accuracies": "trained on (blue)",
  "eval/rewards/accuracies": "held out (orange)",
  "rewards/chosen": "y_w (blue)",
  "rewards/source_chosen": "y_ws (orange)",
  "rewards/target_chosen": "y_wt (blue)",
  "rewards/rejected": "y_l (red)",
};

export function trainingSection({ training, supervised }: ReportData): Html {
  return section(
    "Training curves",
    supervised
      ? html`<h3>SFT</h3>\n${curvesOf(training.sft, "supervised tuning has no step behind it")}`
      : html`<p>No supervised tuning: the recipe goes without it.</p>\n`,
    html`<h3>WRPO</h3>\n${curvesOf(training.wrpo, "WRPO has no step behind it")}`,
  );
}

function curvesOf(curves: TrainingCurves | null, missing: string): Html {
  if (curves === null) return notYet(missing);
  const { steps, stepsAPoint, unreadable } = curves;
  const has = (metric: string) => curves.curves.some(({ name }) => name === metric);
  const drawn = charts.flatMap(({ title, metrics, needs, unless }) => {
    if ((needs !== undefined && !has(needs)) || (unless !== undefined && has(unless))) return [];
    const lines = curves.curves.flatMap(({ name, points }) => {
      const colour = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
      return colour === undefined ? [] : [{ name, colour, points }];
    });
    if (lines.length === 0) return [];
    const caption = lines.length === 1 ? "" : lines.map(({ name }) => shortNames[name] ?? name).join(", ");
    return [figure(lineChart(title, lines), caption)];
  });
  const bands =
    stepsAPoint > 1 ? ` A point is the mean of ${stepsAPoint} steps, the band their lowest and highest.` : "";
  const broken = unreadable > 0 ? ` ${counted(unreadable, "line")} of the metrics could not be read.` : "";
  return html`<p class="soft">${counted(steps, "optimiser step")}.${bands}${broken}</p>\n${figures(drawn)}`;
}
