import {
  type BoardBenchmark,
  type Leaderboard,
  type PairComparison,
  unitOfDifference,
  winCell,
} from "../../../evaluation/index.ts";
import { section, table } from "../../report/elements.ts";
import { type Html, html } from "../../report/escape.ts";
import { integer, percent, probability } from "../../report/format.ts";
import { betterText, comparisonWords, dash, labelText, otherFigureWords, signedText } from "./words.ts";

const twoLines = (first: string, second: string): Html => html`${first}<br><span class="soft">${second}</span>`;

/** More rows than this are behind a click. */
const openRows = 30;

const folded = (count: number, what: string, content: Html): Html =>
  count <= openRows ? content : html`<details><summary>All ${integer(count)} ${what}</summary>${content}</details>\n`;

export function comparisonSection({ comparisons, benchmarks }: Leaderboard): Html {
  if (comparisons.length === 0) return html``;
  const { summary, sentences } = comparisonWords(comparisons);
  const boardOf = new Map(benchmarks.map((board) => [board.benchmark, board]));
  const ofOutcome =
    (show: (outcome: NonNullable<PairComparison["outcome"]>, pair: PairComparison) => Html | string) =>
    (pair: PairComparison) =>
      pair.outcome === null ? dash : show(pair.outcome, pair);
  const other = benchmarks.filter(({ figureIsMean }) => !figureIsMean);
  const shown = table<PairComparison>(
    "Below each difference its 95 % interval. Holm and B. & H.: p corrected for all comparisons of this page.",
    [
      { head: "Benchmark", cell: ({ benchmark }) => labelText(boardOf.get(benchmark)!) },
      { head: "A", kind: "text", cell: ({ a }) => a },
      { head: "B", kind: "text", cell: ({ b }) => b },
      { head: "Significantly better", kind: "text", cell: betterText },
      {
        head: "A - B",
        kind: "figure",
        cell: ofOutcome(({ difference, interval }, { benchmark }) =>
          twoLines(
            `${signedText(difference)} ${unitOfDifference(boardOf.get(benchmark)!.columns[0]!.unit)}`,
            `${signedText(interval.low)} to ${signedText(interval.high)}`,
          ),
        ),
      },
      { head: "p", kind: "figure", cell: ofOutcome(({ pValue }) => probability(pValue)) },
      { head: "Holm", kind: "figure", cell: ofOutcome(({ holm }) => probability(holm)) },
      { head: "B. & H.", kind: "figure", cell: ofOutcome(({ benjaminiHochberg }) => probability(benjaminiHochberg)) },
      {
        head: "Questions",
        kind: "figure",
        cell: ({ questions, onlyA, onlyB }) =>
          onlyA + onlyB === 0
            ? integer(questions)
            : twoLines(integer(questions), `only A: ${integer(onlyA)}, only B: ${integer(onlyB)}`),
      },
    ],
    comparisons,
  );
  return section(
    "Comparisons",
    html`<p>${summary}</p>\n`,
    sentences.length === 0
      ? html``
      : folded(
          sentences.length,
          "significant differences in words",
          html`<ul>${sentences.map((sentence) => html`<li>${sentence}</li>\n`)}</ul>\n`,
        ),
    html`${other.map((benchmark) => html`<p class="soft">${benchmark.benchmark}: ${otherFigureWords(benchmark)}</p>\n`)}`,
    folded(comparisons.length, "comparisons", shown),
  );
}

export function winSection({ comparisons, benchmarks, models }: Leaderboard): Html {
  const shown = benchmarks.filter(({ benchmark }) =>
    comparisons.some((pair) => pair.benchmark === benchmark && pair.outcome !== null),
  );
  if (shown.length === 0) return html``;
  return section(
    "Who wins over whom",
    html`<p>How often the row's model does better than the column's on the questions that both have a verdict for, ties half. Below:
the 95 % interval, and wins, ties and losses.</p>\n`,
    ...shown.map((benchmark) => winTable(comparisons, benchmark, models)),
  );
}

function winTable(comparisons: readonly PairComparison[], benchmark: BoardBenchmark, models: readonly string[]): Html {
  const measured = models.filter((model) => benchmark.models.some((each) => each.model === model));
  const lengths = new Map(benchmark.lengths.map(({ model, mean }) => [model, mean]));
  return table<string>(
    labelText(benchmark),
    [
      { head: "Model", cell: (row) => row },
      ...measured.map((column) => ({
        head: html`over<br>${column}`,
        kind: "figure" as const,
        cell: (row: string) => {
          const cell = winCell(comparisons, benchmark.benchmark, row, column);
          if (cell === null) return dash;
          const { winRate, interval, wins, ties, losses } = cell;
          return html`${percent(winRate)}<br><span class="soft">${percent(interval.low)} to ${percent(interval.high)}<br>${integer(wins)} / ${integer(ties)} / ${integer(losses)}</span>`;
        },
      })),
      ...(lengths.size === 0
        ? []
        : [
            {
              head: "Length",
              kind: "figure" as const,
              cell: (row: string) => {
                const length = lengths.get(row) ?? null;
                return length === null ? dash : integer(length);
              },
            },
          ]),
    ],
    measured,
  );
}

export function lengthSection({ benchmarks, comparisons }: Leaderboard): Html {
  const lines = benchmarks.flatMap(({ benchmark, lengths }) => lengths.map((line) => ({ benchmark, ...line })));
  if (lines.length === 0) return html``;
  const whole = (value: number | null) => (value === null ? dash : integer(value));
  const longer = comparisons.flatMap(({ benchmark, a, b, outcome }) =>
    outcome?.longer ? [{ benchmark, a, b, ...outcome.longer }] : [],
  );
  return section(
    "Lengths of the answers",
    table<(typeof lines)[number]>(
      "In characters. Median, shortest and longest are of the answers whose text is known.",
      [
        { head: "Benchmark", cell: ({ benchmark }) => benchmark },
        { head: "Model", kind: "text", cell: ({ model }) => model },
        { head: "Mean", kind: "figure", cell: ({ mean }) => whole(mean) },
        { head: "Median", kind: "figure", cell: ({ median }) => whole(median) },
        { head: "Shortest", kind: "figure", cell: ({ shortest }) => whole(shortest) },
        { head: "Longest", kind: "figure", cell: ({ longest }) => whole(longest) },
        { head: "Answers", kind: "figure", cell: ({ answers }) => integer(answers) },
      ],
      lines,
    ),
    longer.length === 0
      ? html``
      : table<(typeof longer)[number]>(
          "A judge may prefer what is longer: how often the longer of two answers won, of the questions that one of them won.",
          [
            { head: "Benchmark", cell: ({ benchmark }) => benchmark },
            { head: "A", kind: "text", cell: ({ a }) => a },
            { head: "B", kind: "text", cell: ({ b }) => b },
            { head: "The longer won", kind: "figure", cell: ({ won, of }) => percent(won, of) },
            { head: "Of questions", kind: "figure", cell: ({ of }) => integer(of) },
          ],
          longer,
        ),
  );
}
