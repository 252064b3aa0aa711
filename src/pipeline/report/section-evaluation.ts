import type { EvaluationSummary } from "../../evaluation/index.ts";
import { figure, figures, notYet, section, table } from "./elements.ts";
import { type Html, html } from "./escape.ts";
import { barsWithIntervals, type HistogramRow, histogramRows } from "./figures.ts";
import { counted, integer, interval, percent, probability, reward, signed } from "./format.ts";
import type { PartMeans } from "./held-out.ts";
import { modelColour, modelName, sourceColour } from "./names.ts";
import type { ReportData } from "./report-data.ts";
import { untuned } from "./samples.ts";

/** Mean rewards on the held-out prompts with what they differ by, and where in the reward the difference lies. */
export function evaluationSection({ evaluation, parts, prompts }: ReportData): Html {
  const title = "Before and after, on held-out prompts";
  if (evaluation === null) {
    return section(title, notYet("the models have not been compared; that is the stage evaluate"));
  }
  const { models, baseline, resampling } = evaluation;
  const labels = models.map(({ label }) => label);
  const colour = (label: string) => modelColour(label, labels, baseline);
  const compared = models.flatMap(({ label, comparison }) => (comparison === null ? [] : [{ label, comparison }]));
  return section(
    title,
    html`<p>${counted(prompts.evaluation, "prompt")} that no training saw. A prompt counts by the mean reward of all its
responses. Intervals: 95 %, percentile bootstrap over prompts, ${integer(resampling.resamples)} resamples, paired for
differences. p: two-sided sign-flip test over prompts. A win is a prompt with the higher mean reward; ties count half.</p>\n`,
    figures(
      [
        figure(
          barsWithIntervals(
            "Mean reward of each model with its 95 % interval",
            models.map(({ label, reward: { mean, interval: within } }) => ({
              label: modelName(label),
              note: `${reward(mean)}  (${interval(within)})`,
              colour: colour(label),
              value: mean,
              interval: within,
            })),
          ),
          "Mean reward with its 95 % interval.",
        ),
        ...(compared.length === 0
          ? []
          : [
              figure(
                barsWithIntervals(
                  "Difference of each model to the untuned target with its 95 % interval",
                  compared.map(({ label, comparison: { difference, interval: within } }) => ({
                    label: modelName(label),
                    note: `${signed(difference)}  (${interval(within, signed)})`,
                    colour: colour(label),
                    value: difference,
                    interval: within,
                  })),
                ),
                `Difference to the ${modelName(baseline)}, with its paired 95 % interval. Where the whisker crosses 0, no difference is shown.`,
              ),
            ]),
      ],
      true,
    ),
    comparisonTable(evaluation),
    partsTable(parts, labels, baseline),
  );
}

function comparisonTable({ models }: EvaluationSummary): Html {
  type Model = EvaluationSummary["models"][number];
  const compared =
    (show: (comparison: NonNullable<Model["comparison"]>) => Html | string) =>
    ({ comparison }: Model) =>
      comparison === null ? "\u2013" : show(comparison);
  const twoLines = (first: string, second: string): Html => html`${first}<br><span class="soft">${second}</span>`;
  return table<Model>(
    "Each model against the untuned target; below each figure its 95 % interval.",
    [
      { head: "Model", cell: ({ label }) => modelName(label) },
      {
        head: "Mean reward",
        kind: "figure",
        cell: (model) => twoLines(reward(model.reward.mean), interval(model.reward.interval)),
      },
      {
        head: "Difference",
        kind: "figure",
        cell: compared((comparison) => twoLines(signed(comparison.difference), interval(comparison.interval, signed))),
      },
      { head: "p", kind: "figure", cell: compared(({ pValue }) => probability(pValue)) },
      {
        head: "Wins / ties / losses",
        kind: "figure",
        cell: compared(({ wins, ties, losses }) => `${integer(wins)} / ${integer(ties)} / ${integer(losses)}`),
      },
      {
        head: "Win rate",
        kind: "figure",
        cell: compared(({ winRate, winRateInterval }) =>
          twoLines(percent(winRate), interval(winRateInterval, percent)),
        ),
      },
      {
        head: "Mean tokens",
        kind: "figure",
        cell: ({ meanResponseTokens }) => (meanResponseTokens === null ? "\u2013" : meanResponseTokens.toFixed(1)),
      },
      { head: "Cut off", kind: "figure", cell: (model) => percent(model.unfinished, model.responses) },
      { head: "Prompts", kind: "figure", cell: (model) => integer(model.reward.prompts) },
    ],
    models,
  );
}

function partsTable(parts: readonly PartMeans[], labels: readonly string[], baseline: string): Html {
  if (parts.length === 0) return html``;
  const last = labels.at(-1);
  const change = ({ means }: PartMeans): Html => {
    const [before, after] = [means[baseline], last === undefined ? undefined : means[last]];
    if (before === undefined || after === undefined || last === baseline) return html`\u2013`;
    const tone = after > before ? "up" : after < before ? "down" : "soft";
    return html`<span class="${tone}">${signed(after - before)}</span>`;
  };
  return table<PartMeans>(
    "The reward's parts: the mean over the responses that have it; of a check, the share that passed. Not tested for significance one by one.",
    [
      { head: "Part", cell: ({ name }) => name },
      { head: "Prompts", kind: "figure", cell: (part) => integer(part.prompts) },
      ...labels.map((label) => ({
        head: modelName(label),
        kind: "figure" as const,
        cell: ({ means }: PartMeans) => (means[label] === undefined ? "\u2013" : reward(means[label])),
      })),
      { head: "Change", kind: "figure", cell: change },
    ],
    parts,
  );
}

/** How the rewards are spread: the models on held-out prompts, the sources and the target on training prompts. */
export function distributionSection({ samples, evaluation, supervised }: ReportData): Html {
  const title = "Reward distributions";
  const labels = samples.flatMap(({ label }) => label ?? []);
  const baseline = evaluation?.baseline ?? untuned;
  const reference = samples.find(({ label }) => label === baseline)?.rewards ?? null;
  const sources = samples.filter(({ stage }) => stage === "sources").map(({ source }) => source);
  const rows = samples.flatMap((sample): { row: HistogramRow; heldOut: boolean }[] => {
    const { label, source, stage, rewards, meanReward, scored } = sample;
    if (rewards === null || meanReward === null) return [];
    const heldOut = label !== null;
    const name = heldOut
      ? modelName(label)
      : stage === "sources"
        ? source
        : supervised
          ? "target, after SFT"
          : "target";
    const own = heldOut
      ? modelColour(label, labels, baseline)
      : stage === "sources"
        ? sourceColour(source, sources)
        : "baseline";
    const row: HistogramRow = {
      label: name,
      note: `mean ${reward(meanReward)}, ${counted(scored, "response")}`,
      colour: own,
      histogram: rewards,
      mean: meanReward,
      ...(heldOut && label !== baseline && reference !== null ? { behind: reference } : {}),
    };
    return [{ row, heldOut }];
  });
  const held = rows.filter(({ heldOut }) => heldOut).map(({ row }) => row);
  const trained = rows.filter(({ heldOut }) => !heldOut).map(({ row }) => row);
  const shares = "Height: share of the responses in each of 20 bins. Line: the mean.";
  return section(
    title,
    figures(
      [
        held.length === 0
          ? notYet("no model has answered the held-out prompts with a score")
          : figure(
              histogramRows("Rewards of each model's responses to the held-out prompts", held),
              `Held-out prompts, each model. ${shares} Dashed: the ${modelName(baseline)}.`,
            ),
        trained.length === 0
          ? notYet("no response to a training prompt has a score")
          : figure(
              histogramRows("Rewards of each source's responses to the training prompts", trained),
              `Training prompts, each source. ${shares}`,
            ),
      ],
      true,
    ),
  );
}
