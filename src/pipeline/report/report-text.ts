import { figureText, labelText, mainTable, notOfficial } from "../evaluate/tables/words.ts";
import { visible } from "./escape.ts";
import type { Example, ExampleResponse } from "./examples.ts";
import { counted, integer, interval, percent, probability, reward, shortened, signed } from "./format.ts";
import { headlineOf } from "./headline.ts";
import { modelName } from "./names.ts";
import type { ReportData } from "./report-data.ts";
import { rewardLines, sourcesStatistics } from "./reward-words.ts";
import type { SplitSelection } from "./split-selection.ts";
import type { SuiteBoard } from "./suite-boards.ts";

/** Longest text of a prompt or response, in characters; the report has more. */
const shownLength = 400;

/**
 * What a run ends with on a terminal: the contribution table, rewards before and after, the verdict, two examples. Plain
 * lines; texts of models can't move the cursor or colour anything.
 */
export function reportText(data: ReportData): string {
  const { selections, evaluation, suites, examples, supervised, rows } = data;
  const statistics = sourcesStatistics(data);
  const blocks = [
    ...(supervised ? [contributionText("What each source contributed to SFT", selections.sft)] : []),
    contributionText(`What each source contributed to the ${rows}`, selections.wrpo),
    ...(statistics === undefined ? [] : [rewardLines(statistics).join("\n")].filter((text) => text !== "")),
    ...(evaluation === null ? ["Before and after: not yet."] : [evaluationText(data)]),
    ...suites.map(suiteText),
    ...twoOf(examples).map(exampleText),
  ];
  return `${visible(blocks.join("\n\n"))}\n`;
}

function contributionText(title: string, selection: SplitSelection | null): string {
  if (selection === null) return `${title}: not yet.`;
  const share = (value: number | null) => (value === null ? "" : percent(value));
  const rows = selection.contributions.map(({ source, chosen, chosenShare, reachedBest, meanReward, ...wins }) => [
    ...[source, integer(chosen), percent(chosenShare), integer(reachedBest), reward(meanReward)],
    ...[share(wins.winShare), share(wins.equalLengthWinShare)],
  ]);
  const { gaps, lengthEffect } = selection;
  const apart = gaps === null ? [] : [`  reward gap: mean ${reward(gaps.mean)}, median ${reward(gaps.quantiles[1])}`];
  const without =
    lengthEffect === null
      ? []
      : [`  compared without what length adds: ${reward(lengthEffect.perThousand)} for 1,000 characters`];
  const left = selection.leftOut.map(({ reason, prompts }) => `  left out, ${counted(prompts, "prompt")}: ${reason}`);
  return [
    `${title} (${counted(selection.selected, "prompt")})`,
    ...columns([["source", "chosen", "share", "reached best", "mean reward", "wins", "at equal length"], ...rows]),
    ...(selection.combine === "vote" ? ["  rewards are shares of votes (selection.combine: vote)"] : []),
    ...apart,
    ...strengthLines(selection.strengths),
    ...without,
    ...left,
  ].join("\n");
}

function strengthLines(strengths: SplitSelection["strengths"]): string[] {
  if (strengths === null || strengths.sources.every(({ elo }) => elo === null)) return [];
  const rows = strengths.sources.map(({ source, elo, interval: of, wins, ties, losses }) => [
    ...[source, elo === null ? "" : integer(elo), of === null ? "" : interval(of, integer)],
    ...[wins, ties, losses].map(integer),
  ]);
  return [
    `  strength on Elo's scale, by mean rewards on ${counted(strengths.prompts, "prompt")}${strengths.bounded ? " (bounded: some never lost, or never met)" : ""}:`,
    ...columns([["source", "Elo", "95 % interval", "wins", "ties", "losses"], ...rows]),
  ];
}

function evaluationText({ evaluation }: ReportData): string {
  const models = evaluation?.models ?? [];
  const rows = models.map(({ label, reward: mean, comparison }) => [
    modelName(label),
    reward(mean.mean),
    interval(mean.interval),
    ...(comparison === null
      ? ["", "", "", "", ""]
      : [
          signed(comparison.difference),
          interval(comparison.interval, signed),
          probability(comparison.pValue),
          `${comparison.wins}/${comparison.ties}/${comparison.losses}`,
          percent(comparison.winRate),
        ]),
  ]);
  const head = ["model", "reward", "95 % interval", "difference", "95 % interval", "p", "win/tie/loss", "win rate"];
  const headline = headlineOf(evaluation);
  const said = headline === undefined ? [] : ["", headline.said, ...headline.caveats];
  return [
    `Before and after, on ${counted(models[0]?.reward.prompts ?? 0, "held-out prompt")}`,
    ...columns([head, ...rows]),
    ...said,
  ].join("\n");
}

/** A model a row, the main figure of each benchmark; what is not official is marked so. */
function suiteText({ name, board, page }: SuiteBoard): string {
  const { rows } = mainTable(board);
  const cell = ({ benchmark, figure }: (typeof rows)[number]["cells"][number]) =>
    figure === null
      ? "-"
      : `${figureText(figure, benchmark.columns[0]!.unit)}${benchmark.official ? "" : ` ${notOfficial}`}`;
  return [
    `Benchmarks of ${name}`,
    ...columns([
      ["model", ...board.benchmarks.map(labelText)],
      ...rows.map(({ model, cells }) => [modelName(model), ...cells.map(cell)]),
    ]),
    `  ${notOfficial} must not stand beside published figures; the rest is in ${page}`,
  ].join("\n");
}

/** The greatest gain and the greatest loss; a typical prompt in place of one that is not there. */
function twoOf(examples: readonly Example[]): Example[] {
  const first = (kind: Example["kind"]) => examples.filter((example) => example.kind === kind).slice(0, 1);
  const typical = examples.filter(({ kind }) => kind === "typical");
  return [...first("gained"), ...first("lost"), ...typical].slice(0, 2);
}

const kinds: Readonly<Record<Example["kind"], string>> = {
  gained: "where it gained most",
  lost: "where it lost most",
  typical: "a typical prompt",
};

function exampleText(example: Example): string {
  const { kind, promptId, difference, messages, beforeLabel, before, afterLabel, after } = example;
  const response = (label: string, { text, value }: ExampleResponse) =>
    `  ${modelName(label)}, reward ${reward(value)}:\n${indented(text)}`;
  return [
    `Example, ${kinds[kind]} (${promptId}, ${signed(difference)})`,
    `  prompt:\n${indented(messages.at(-1)?.content ?? "")}`,
    response(beforeLabel, before),
    response(afterLabel, after),
  ].join("\n");
}

function indented(text: string): string {
  const shown = shortened(text.trim(), shownLength);
  return (shown === "" ? "(empty)" : shown).replace(/^/gm, "    ");
}

/** Rows as aligned columns: the first to the left, figures to the right. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const shown = rows.map((row) => row.map(visible));
  const widths = (shown[0] ?? []).map((_, index) => Math.max(...shown.map((row) => [...(row[index] ?? "")].length)));
  const padded = (text: string, index: number) => {
    const space = " ".repeat(Math.max(0, widths[index]! - [...text].length));
    return index === 0 ? text + space : space + text;
  };
  return shown.map((row) => `  ${row.map(padded).join("  ")}`.trimEnd());
}
