import { figure, figures, section, table } from "./elements.ts";
import { type Html, html } from "./escape.ts";
import { type Colour, histogramRows } from "./figures.ts";
import { counted, number } from "./format.ts";
import type { AskedRole, LogProbSummary } from "./log-probs.ts";
import { modelName } from "./names.ts";
import type { ReportData } from "./report-data.ts";

const roles: readonly { readonly role: AskedRole; readonly name: string; readonly colour: Colour }[] = [
  { role: "source_chosen", name: "y_ws, of the sources", colour: "series-3" },
  { role: "target_chosen", name: "y_wt, of the target", colour: "series-1" },
  { role: "rejected", name: "y_l", colour: "series-5" },
];

/** How far the sources' responses are from the target's distribution, before and after each training (figure 1 of the paper). */
export function logProbSection({ logProbs }: ReportData): Html {
  if (logProbs === null) return html``;
  return section("How probable the responses are", logProbFigures(logProbs));
}

/** Histograms of the mean token log-probs of y_ws, y_wt and y_l under each model, and their means as a table. */
export function logProbFigures({ models }: LogProbSummary): Html {
  const drawn = models.map(({ label, roles: found }) => {
    const title = `Log-probs under the ${modelName(label)}`;
    const rows = roles.flatMap(({ role, name, colour }) => {
      if (found[role] === undefined) return [];
      const { histogram, mean, responses } = found[role];
      return [
        { label: name, note: `mean ${number(mean)}, ${counted(responses, "response")}`, colour, histogram, mean },
      ];
    });
    return figure(
      histogramRows(title, rows),
      `Under the model: ${modelName(label)}. Mean log-prob of a token, in nats; the same axis for each model.`,
    );
  });
  type Model = LogProbSummary["models"][number];
  return html`${figures(drawn)}${table<Model>(
    "Mean over the responses of the mean log-prob of a token, with the standard deviation over responses.",
    [
      { head: "Under the model", cell: ({ label }) => modelName(label) },
      ...roles
        .filter(({ role }) => models.every((model) => model.roles[role] !== undefined))
        .map(({ role, name }) => ({
          head: name,
          kind: "figure" as const,
          cell: ({ roles: of }: Model) => `${of[role]!.mean.toFixed(3)} \u00b1 ${of[role]!.deviation.toFixed(3)}`,
        })),
      {
        head: "y_ws below y_l by",
        kind: "figure",
        cell: (model) => (model.roles.rejected!.mean - model.roles.source_chosen!.mean).toFixed(3),
      },
    ],
    models,
  )}`;
}
