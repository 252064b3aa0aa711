import {
  type BoardBenchmark,
  type BoardPart,
  type Leaderboard,
  unitOfDifference,
  winCell,
} from "../../../evaluation/index.ts";
import { integer, percent, probability } from "../../report/format.ts";
import { inline, table } from "./markdown-elements.ts";
import { focusBlocks } from "./markdown-focus.ts";
import {
  betterText,
  comparisonWords,
  dash,
  figureText,
  labelText,
  mainTable,
  methodWords,
  notOfficial,
  notOfficialWords,
  otherFigureWords,
  overallTable,
  signedText,
  standingText,
} from "./words.ts";

/** More findings than this are told by the table alone. */
const mostSentences = 20;

/** A leaderboard for a person who reads it as text, or on a page that shows Markdown. */
export function leaderboardMarkdown(board: Leaderboard): string {
  const blocks = [
    `# Leaderboard of ${inline(board.name)}`,
    ...mainBlocks(board),
    ...overallBlocks(board),
    ...comparisonBlocks(board),
    ...winBlocks(board),
    ...categoryBlocks(board),
    ...focusBlocks(board),
    ...lengthBlocks(board),
    ...detailBlocks(board),
    "## How it was computed",
    inline(methodWords(board)),
  ];
  return `${blocks.join("\n\n")}\n`;
}

const headOf = (benchmark: BoardBenchmark): string => {
  const [main] = benchmark.columns;
  return `${benchmark.benchmark}: ${main!.title} (${main!.unit}; ${standingText(benchmark)})`;
};

function mainBlocks(board: Leaderboard): string[] {
  const { rows, footnotes, common } = mainTable(board);
  const heads = board.benchmarks.flatMap((benchmark) => [
    headOf(benchmark),
    ...(benchmark.lengths.length > 0 ? ["Length"] : []),
  ]);
  return [
    table(
      ["Model", ...heads],
      rows.map(({ model, cells }) => [
        model,
        ...cells.flatMap(({ benchmark, figure, length, note }) => {
          const [main] = benchmark.columns;
          const shown =
            figure === null ? dash : `${figureText(figure, main!.unit)}${benchmark.official ? "" : ` ${notOfficial}`}`;
          return [
            note === null ? shown : `${shown} (${note})`,
            ...(benchmark.lengths.length > 0 ? [length === null ? dash : integer(length)] : []),
          ];
        }),
      ]),
    ),
    "± is the standard error; two bounds are a 95 % interval. Lengths are the mean of the answers, in characters.",
    ...(board.benchmarks.some(({ official }) => !official) ? [`${notOfficial} ${notOfficialWords}.`] : []),
    ...(common.length > 0 ? [common.map((note) => `- ${inline(note)}`).join("\n")] : []),
    ...(footnotes.length > 0 ? [footnotes.map((note, at) => `(${at + 1}) ${inline(note)}`).join("\\\n")] : []),
  ];
}

function overallBlocks(board: Leaderboard): string[] {
  const overall = overallTable(board);
  if (overall === null) return [];
  return [
    "## Over all",
    ...(overall.heads.length > 0 ? [table(overall.heads, overall.rows)] : []),
    overall.notes.map((note) => `- ${inline(note)}`).join("\n"),
  ];
}

function comparisonBlocks(board: Leaderboard): string[] {
  const { comparisons, benchmarks } = board;
  if (comparisons.length === 0) return [];
  const { summary, sentences } = comparisonWords(comparisons);
  const boardOf = new Map(benchmarks.map((board) => [board.benchmark, board]));
  return [
    "## Comparisons",
    summary,
    ...(sentences.length === 0
      ? []
      : sentences.length <= mostSentences
        ? [sentences.map((sentence) => `- ${inline(sentence)}`).join("\n")]
        : ['Which they are stands in the table, under "Significantly better".']),
    ...benchmarks
      .filter(({ figureIsMean }) => !figureIsMean)
      .map((benchmark) => inline(`${benchmark.benchmark}: ${otherFigureWords(benchmark)}`)),
    table(
      [
        "Benchmark",
        "A",
        "B",
        "Significantly better",
        "A - B",
        "95 % interval",
        "p",
        "Holm",
        "B. & H.",
        "Questions",
        "Only A",
        "Only B",
      ],
      comparisons.map((pair) => {
        const { benchmark, a, b, questions, onlyA, onlyB, outcome } = pair;
        const figures =
          outcome === null
            ? Array<string>(5).fill(dash)
            : [
                `${signedText(outcome.difference)} ${unitOfDifference(boardOf.get(benchmark)!.columns[0]!.unit)}`,
                `${signedText(outcome.interval.low)} to ${signedText(outcome.interval.high)}`,
                ...[outcome.pValue, outcome.holm, outcome.benjaminiHochberg].map(probability),
              ];
        return [
          labelText(boardOf.get(benchmark)!),
          a,
          b,
          betterText(pair),
          ...figures,
          ...[questions, onlyA, onlyB].map(integer),
        ];
      }),
      4,
    ),
  ];
}

function winBlocks({ comparisons, benchmarks, models }: Leaderboard): string[] {
  const shown = benchmarks.filter(({ benchmark }) =>
    comparisons.some((pair) => pair.benchmark === benchmark && pair.outcome !== null),
  );
  if (shown.length === 0) return [];
  return [
    "## Who wins over whom",
    "How often the row's model does better than the column's on the questions that both have a verdict for, ties half; the 95 % interval and the number of questions.",
    ...shown.flatMap((benchmark) => {
      const measured = models.filter((model) => benchmark.models.some((each) => each.model === model));
      const hasLengths = benchmark.lengths.length > 0;
      return [
        `### ${inline(labelText(benchmark))}`,
        table(
          ["Model", ...measured, ...(hasLengths ? ["Length"] : [])],
          measured.map((row) => [
            row,
            ...measured.map((column) => {
              const cell = winCell(comparisons, benchmark.benchmark, row, column);
              return cell === null
                ? dash
                : `${percent(cell.winRate)} (${percent(cell.interval.low)} to ${percent(cell.interval.high)}; ${integer(cell.questions)})`;
            }),
            ...(hasLengths ? [lengthText(benchmark, row)] : []),
          ]),
        ),
      ];
    }),
  ];
}

function lengthText({ lengths }: BoardBenchmark, model: string): string {
  const mean = lengths.find((each) => each.model === model)?.mean ?? null;
  return mean === null ? dash : integer(mean);
}

function categoryBlocks({ benchmarks }: Leaderboard): string[] {
  const shown = benchmarks.filter(({ categories }) => categories.length > 0);
  if (shown.length === 0) return [];
  return [
    "## By category",
    ...shown.flatMap((benchmark) => {
      const [main] = benchmark.columns;
      const mark = benchmark.official ? "" : ` ${notOfficial}`;
      const partTable = (head: string, parts: readonly BoardPart[]) =>
        table(
          [head, "Questions", ...benchmark.models.map(({ model }) => model)],
          parts.map(({ name, models }) => [
            name,
            integer(Math.max(0, ...models.map(({ questions }) => questions))),
            ...models.map(({ figure }) => (figure === null ? dash : `${figureText(figure, main!.unit)}${mark}`)),
          ]),
        );
      return [
        `### ${inline(headOf(benchmark))}`,
        ...(benchmark.areas === undefined ? [] : [partTable("Area", benchmark.areas)]),
        partTable("Category", benchmark.categories),
      ];
    }),
  ];
}

function lengthBlocks({ benchmarks, comparisons }: Leaderboard): string[] {
  const shown = benchmarks.filter(({ lengths }) => lengths.length > 0);
  if (shown.length === 0) return [];
  const whole = (value: number | null) => (value === null ? dash : integer(value));
  const longer = comparisons.flatMap(({ benchmark, a, b, outcome }) =>
    outcome?.longer
      ? [[benchmark, a, b, percent(outcome.longer.won, outcome.longer.of), integer(outcome.longer.of)]]
      : [],
  );
  return [
    "## Lengths of the answers",
    "In characters. A judge may prefer what is longer: see how often the longer of two answers won.",
    table(
      ["Benchmark", "Model", "Mean", "Median", "Shortest", "Longest", "Answers"],
      shown.flatMap(({ benchmark, lengths }) =>
        lengths.map(({ model, mean, median, shortest, longest, answers }) => [
          ...[benchmark, model, whole(mean), whole(median), whole(shortest), whole(longest), integer(answers)],
        ]),
      ),
      2,
    ),
    ...(longer.length === 0
      ? []
      : [table(["Benchmark", "A", "B", "The longer answer won", "Of questions that one won"], longer, 3)]),
  ];
}

function detailBlocks({ benchmarks }: Leaderboard): string[] {
  return [
    "## All figures",
    ...benchmarks.flatMap((benchmark) => [
      `### ${inline(labelText(benchmark))}`,
      table(
        ["Model", ...benchmark.columns.map(({ title, unit }) => `${title} (${unit})`), "Questions", "Failed"],
        benchmark.models.map(({ model, figures, questions, failed }) => [
          model,
          ...benchmark.columns.map(({ key, unit }) => {
            const figure = figures[key] ?? null;
            if (figure === null) return dash;
            return `${figureText(figure, unit)}${benchmark.official ? "" : ` ${notOfficial}`}`;
          }),
          integer(questions),
          integer(failed),
        ]),
      ),
    ]),
  ];
}
