import type { Contribution } from "../../preferences/index.ts";
import { figure, figures, legend, notYet, section, table } from "./elements.ts";
import { type Html, html } from "./escape.ts";
import { stackedBars } from "./figures.ts";
import { counted, integer, percent, reward } from "./format.ts";
import { modelName, sourceColour } from "./names.ts";
import type { ReportData } from "./report-data.ts";
import type { SampleGroup } from "./samples.ts";
import type { SplitSelection } from "./split-selection.ts";

const splits = [
  ["sft", "SFT", "supervised tuning"],
  ["wrpo", "Quadruples", "WRPO"],
] as const;

/** Which source each selected response came from. */
export function contributionSection({ selections, samples, supervised }: ReportData): Html {
  const title = "What each source contributed";
  const sources = samples.filter(({ stage }) => stage === "sources").map(({ source }) => source);
  const made = splits.flatMap(([split, name]) => {
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
              "Share of the selected prompts whose y_ws, the best response of all sources, is each source's.",
            ),
          ],
          true,
        )}${legend(sources.map((source) => ({ name: source, colour: sourceColour(source, sources) })))}`;
  return section(
    title,
    drawing,
    ...splits.map(([split, name, purpose]) => {
      if (split === "sft" && !supervised) return html``;
      const selection = selections[split];
      const what = `nothing was selected for ${purpose}`;
      return html`<h3>${name}</h3>\n${selection === null ? notYet(what) : contributionTable(selection, purpose)}`;
    }),
  );
}

function contributionTable(selection: SplitSelection, purpose: string): Html {
  const { selected, contributions, meanRewards, sourceBelowRejected, scales } = selection;
  const { sourceChosen, targetChosen, rejected } = meanRewards;
  const whole =
    targetChosen === null || rejected === null || sourceChosen === null
      ? html``
      : html`<p>Mean rewards of the quadruples: y_ws ${reward(sourceChosen)}, y_wt ${reward(targetChosen)},
y_l ${reward(rejected)}. In ${integer(sourceBelowRejected)} of the ${integer(selected)}, y_ws has a lower reward than y_l; such
are kept, as in the paper.</p>\n`;
  const caption = `Selected for ${purpose}: ${counted(selected, "prompt")}. Reached best: the source had a response as good as the one chosen, ties included.`;
  return html`${table<Contribution>(
    caption,
    [
      { head: "Source", cell: ({ source }) => source },
      { head: "Chosen", kind: "figure", cell: ({ chosen }) => integer(chosen) },
      { head: "Share", kind: "figure", cell: ({ chosenShare }) => percent(chosenShare) },
      { head: "Reached best", kind: "figure", cell: ({ reachedBest }) => integer(reachedBest) },
      { head: "Mean reward", kind: "figure", cell: ({ meanReward }) => reward(meanReward) },
      { head: "Responses", kind: "figure", cell: ({ responses }) => integer(responses) },
      { head: "Empty", kind: "figure", cell: ({ empty }) => integer(empty) },
      { head: "Cut off", kind: "figure", cell: ({ unfinished }) => integer(unfinished) },
    ],
    contributions,
  )}${whole}${scales.length === 0 ? html`` : scalesTable(scales)}`;
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

/** Prompts without anything to train on, and responses that are missing, each with the reason. */
export function leftOutSection({ selections, samples, supervised }: ReportData): Html {
  const rows = splits.flatMap(([split, name]) =>
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

/** Mean tokens of every model's responses beside their mean reward: a reward may just like length. */
export function lengthSection({ samples, supervised }: ReportData): Html {
  const title = "Length beside reward";
  const scored = samples.filter(({ meanTokens }) => meanTokens !== null);
  if (scored.length === 0) return section(title, notYet("no response has a score"));
  return section(
    title,
    table<SampleGroup>(
      "Scored responses. Cut off: ended by the token limit, not by the model.",
      [
        { head: "Responses of", cell: (sample) => groupName(sample, supervised) },
        { head: "Mean tokens", kind: "figure", cell: ({ meanTokens }) => (meanTokens ?? 0).toFixed(1) },
        { head: "Mean reward", kind: "figure", cell: ({ meanReward }) => reward(meanReward ?? 0) },
        { head: "Cut off", kind: "figure", cell: (sample) => percent(sample.unfinished, sample.scored) },
        { head: "Responses", kind: "figure", cell: (sample) => integer(sample.scored) },
      ],
      scored,
    ),
  );
}

function groupName({ stage, source, label }: SampleGroup, supervised: boolean): string {
  if (label !== null) return `${modelName(label)}, held-out prompts`;
  const target = supervised ? "target after SFT" : "target";
  return `${stage === "sources" ? source : target}, training prompts`;
}
