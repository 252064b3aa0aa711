import type { Contribution, LengthEffect } from "../../preferences/index.ts";
import { type Column, figure, figures, legend, notYet, section, table } from "./elements.ts";
import { type Html, html } from "./escape.ts";
import { histogramRows, stackedBars } from "./figures.ts";
import { counted, integer, interval, percent, reward } from "./format.ts";
import { modelName, sourceColour } from "./names.ts";
import type { ReportData } from "./report-data.ts";
import type { SampleGroup } from "./samples.ts";
import type { Gaps, SplitSelection } from "./split-selection.ts";

/** Which source each selected response came from. */
export function contributionSection(data: ReportData): Html {
  const { selections, samples } = data;
  const sources = samples.filter(({ stage }) => stage === "sources").map(({ source }) => source);
  const made = partsOf(data).flatMap(({ split, name }) => {
    const selection = selections[split];
    return selection === null ? [] : [{ name, selection }];
  });
  const drawing =
    made.length === 0
      ? html``
      : html`${figures(
          [
            figure(
              stackedBars(
                "Share of the selected prompts whose y_ws is each source's",
                made.map(({ name, selection }) => ({
                  label: name,
                  note: counted(selection.selected, "prompt"),
                  segments: [...selection.contributions]
                    .sort((a, b) => sources.indexOf(a.source) - sources.indexOf(b.source))
                    .map(({ source, chosen }) => {
                      return { name: source, value: chosen, colour: sourceColour(source, sources) };
                    }),
                })),
              ),
              "Share of the selected prompts whose y_ws, the chosen response of the sources, is each source's.",
            ),
          ],
          true,
        )}${legend(sources.map((source) => ({ name: source, colour: sourceColour(source, sources) })))}`;
  return section(
    "What each source contributed",
    drawing,
    ...partsOf(data).map(({ split, name, purpose }) => {
      const selection = selections[split];
      const what = `nothing was selected for ${purpose}`;
      return html`<h3>${name}</h3>\n${selection === null ? notYet(what) : contributionTable(selection, purpose)}`;
    }),
  );
}

/** The parts of the training prompts that the run learns from, by name and purpose. */
const partsOf = ({ supervised, rows }: ReportData) =>
  [
    { split: "sft", name: "SFT", purpose: "supervised tuning" },
    { split: "wrpo", name: rows === "pairs" ? "Pairs" : "Quadruples", purpose: "preference training" },
  ].filter(({ split }) => supervised || split !== "sft") as readonly {
    readonly split: "sft" | "wrpo";
    readonly name: string;
    readonly purpose: string;
  }[];

const share = (value: number | null): string => (value === null ? "\u2013" : percent(value));

function contributionTable(selection: SplitSelection, purpose: string): Html {
  const {
    selected,
    contributions,
    domains,
    meanRewards,
    sourceBelowRejected,
    gaps,
    scales,
    combine,
    strengths,
    lengthEffect,
  } = selection;
  const { sourceChosen, targetChosen, rejected } = meanRewards;
  const below = html`In ${integer(sourceBelowRejected)} of the ${integer(selected)}, y_ws has a lower reward than y_l; such
are kept, as in the paper.`;
  const whole =
    rejected === null || sourceChosen === null
      ? html``
      : html`<p>Mean rewards: y_ws ${reward(sourceChosen)}, ${targetChosen === null ? html`` : html`y_wt ${reward(targetChosen)}, `}y_l
${reward(rejected)}. ${targetChosen === null ? html`` : below}</p>\n`;
  const caption = `Selected for ${purpose}: ${counted(selected, "prompt")}. Reached best: the source had a response as good as the one chosen, ties included. Wins: share of its responses' comparisons with those of other sources to the same prompt in which its reward is the higher, ties as halves; at equal length: of those whose texts are equally long, within a tenth.`;
  const columns: Column<Contribution>[] = [
    { head: "Source", cell: ({ source }) => source },
    { head: "Chosen", kind: "figure", cell: ({ chosen }) => integer(chosen) },
    { head: "Share", kind: "figure", cell: ({ chosenShare }) => percent(chosenShare) },
    { head: "Reached best", kind: "figure", cell: ({ reachedBest }) => integer(reachedBest) },
    { head: "Mean reward", kind: "figure", cell: ({ meanReward }) => reward(meanReward) },
    { head: "Wins", kind: "figure", cell: ({ winShare }) => share(winShare) },
    { head: "At equal length", kind: "figure", cell: ({ equalLengthWinShare }) => share(equalLengthWinShare) },
    { head: "Responses", kind: "figure", cell: ({ responses }) => integer(responses) },
    { head: "Empty", kind: "figure", cell: ({ empty }) => integer(empty) },
    { head: "Cut off", kind: "figure", cell: ({ unfinished }) => integer(unfinished) },
  ];
  const domain: Column<Contribution> = {
    head: "Domain",
    cell: ({ domain: of }) => (of === "" ? "(none)" : (of ?? "")),
  };
  const byDomain =
    domains.length === 0
      ? html``
      : html`<details><summary>By domain</summary>${table("The same for the prompts of each domain.", [domain, ...columns], domains)}</details>\n`;
  return html`${table(caption, columns, contributions)}${byDomain}${whole}${combine === "vote" ? votesNote : html``}${strengths === null ? html`` : strengthsTable(strengths)}${gaps === null ? html`` : gapFigure(gaps)}${scales.length === 0 ? html`` : scalesTable(scales)}${lengthEffect === null ? html`` : effectLine(lengthEffect)}`;
}

function gapFigure({ mean, quantiles: [low, median, high], histogram }: Gaps): Html {
  const drawing = histogramRows("Reward gaps of the selected rows", [
    { label: "Preferred less dispreferred", note: `mean ${reward(mean)}`, colour: "series-1", histogram, mean },
  ]);
  const caption = `Reward of the preferred response less that of y_l: median ${reward(median)}, nine of ten between ${reward(low)} and ${reward(high)}.`;
  return figures([figure(drawing, caption)]);
}

const votesNote = html`<p>Rewards were compared by votes (selection.combine: vote), and the rewards above are shares of the votes: for each two
responses to a prompt every reward votes with its weight, half for each where it ties.</p>\n`;

function strengthsTable({ sources, prompts, bounded }: NonNullable<SplitSelection["strengths"]>): Html {
  if (sources.every(({ elo }) => elo === null)) return html``;
  const elo = (value: number) => integer(value);
  const limits = bounded
    ? " Some never lost, or never met, so that no finite strength is the likeliest: each has one tied game more against a mean player."
    : "";
  return table<(typeof sources)[number]>(
    `Strength of the sources by Bradley and Terry's model on Elo's scale (400 points: odds of 10 to 1; mean 1000), from ${counted(prompts, "prompt")}: on each the higher mean reward wins. 95 % bootstrap intervals over prompts.${limits}`,
    [
      { head: "Source", cell: ({ source }) => source },
      { head: "Elo", kind: "figure", cell: ({ elo: of }) => (of === null ? "\u2013" : elo(of)) },
      { head: "Interval", kind: "figure", cell: ({ interval: of }) => (of === null ? "\u2013" : interval(of, elo)) },
      { head: "Wins", kind: "figure", cell: ({ wins }) => integer(wins) },
      { head: "Ties", kind: "figure", cell: ({ ties }) => integer(ties) },
      { head: "Losses", kind: "figure", cell: ({ losses }) => integer(losses) },
    ],
    sources,
  );
}

const scalesTable = (scales: SplitSelection["scales"]): Html =>
  table<(typeof scales)[number]>(
    "Rewards were compared as standard scores (selection.normalise: per_source), and so are those above: a reward less its source's mean, by its source's standard deviation.",
    [
      { head: "Source", cell: ({ source }) => source },
      { head: "Mean reward", kind: "figure", cell: ({ mean }) => reward(mean) },
      { head: "Standard deviation", kind: "figure", cell: ({ deviation }) => reward(deviation) },
    ],
    scales,
  );

const effectLine = ({ perThousand }: LengthEffect): Html =>
  html`<p>Responses were compared without what length adds to their rewards, ${reward(perThousand)} for 1,000 characters by the
fit over all scored responses of the sources (selection.length_penalty: fitted). The rewards shown are those before.</p>\n`;

/** Prompts without anything to train on, and responses that are missing, each with the reason. */
export function leftOutSection(data: ReportData): Html {
  const { selections, samples, supervised } = data;
  const rows = partsOf(data).flatMap(({ split, name }) =>
    (selections[split]?.leftOut ?? []).map(({ reason, prompts }) => ({
      name,
      reason,
      count: counted(prompts, "prompt"),
    })),
  );
  const missing = samples.flatMap((sample) => {
    const name = groupName(sample, supervised);
    const unscored = sample.done - sample.scored;
    return [
      ...(sample.failed > 0
        ? [{ name, reason: "the source failed to respond", count: counted(sample.failed, "response") }]
        : []),
      ...(unscored > 0 ? [{ name, reason: "no score", count: counted(unscored, "response") }] : []),
    ];
  });
  const all = [...rows, ...missing];
  const title = "What was left out";
  if (samples.length === 0) return section(title, notYet("nothing was sampled"));
  if (all.length === 0) return section(title, html`<p>Nothing so far.</p>\n`);
  return section(
    title,
    table(
      "Prompts that gave nothing to train on, and responses that are missing. What a training stage left out stands under Time.",
      [
        { head: "Where", cell: ({ name }) => name },
        { head: "Reason", cell: ({ reason }) => reason },
        { head: "Count", kind: "figure", cell: ({ count }) => count },
      ],
      all,
    ),
  );
}

export function groupName({ stage, source, label }: SampleGroup, supervised: boolean): string {
  if (label !== null) return `${modelName(label)}, held-out prompts`;
  const target = supervised ? "target after SFT" : "target";
  return `${stage === "sources" ? source : target}, training prompts`;
}
