import { join } from "node:path";
import type { Leaderboard } from "../evaluation/index.ts";
import {
  comparisonWords,
  figureText,
  mainTable,
  notOfficial,
  notOfficialWords,
  overallTable,
  signedText,
  standingText,
  visible,
} from "../pipeline/index.ts";
import { table } from "./format.ts";

const width = 100;
/** A longer name of a model has a line of its own. */
const longestName = 32;
/** So many findings are printed. */
const mostFound = 30;

/** What `amalgam evaluate` prints in the end: the one table, what it is of, who is better than whom, and where the rest lies. */
export function suiteText(board: Leaderboard, folder: string): string {
  const { name, benchmarks, comparisons } = board;
  const { rows, footnotes, common } = mainTable(board);
  const columns = benchmarks.flatMap((benchmark, at) => [
    {
      head: benchmark.benchmark,
      cells: rows.map(({ cells }) => {
        const { figure, note } = cells[at]!;
        const shown = figure === null ? "-" : figureText(figure, benchmark.columns[0]!.unit);
        const mark = figure === null || benchmark.official ? "" : ` ${notOfficial}`;
        return `${shown}${mark}${note === null ? "" : ` (${note})`}`;
      }),
    },
    ...(benchmark.lengths.length === 0
      ? []
      : [
          {
            head: "length",
            cells: rows.map(({ cells }) => String(Math.round(cells[at]!.length ?? Number.NaN)).replace("NaN", "-")),
          },
        ]),
  ]);
  const overall = overallTable(board);
  const { summary } = comparisonWords(comparisons);
  return visible(
    [
      `Leaderboard of ${name}`,
      "",
      ...tables(
        rows.map(({ model }) => model),
        columns,
      ),
      "",
      ...benchmarks.flatMap((benchmark) => {
        const [main] = benchmark.columns;
        return wrapped(`${benchmark.benchmark}: ${main!.title} (${main!.unit}), ${standingText(benchmark)}.`);
      }),
      ...wrapped("± is the standard error; two bounds are a 95 % interval. Lengths are means in characters."),
      ...(benchmarks.some(({ official }) => !official) ? wrapped(`${notOfficial} ${notOfficialWords}.`) : []),
      ...common.flatMap((note) => wrapped(note)),
      ...footnotes.flatMap((note, at) => wrapped(`(${at + 1}) ${note}`)),
      ...(overall === null ? [] : ["", ...overallLines(overall)]),
      ...(comparisons.length === 0 ? [] : ["", ...wrapped(summary), ...foundLines(comparisons)]),
      "",
      `Everything else: ${join(folder, "leaderboard.html")}, and .md, .csv and .json beside it.`,
    ].join("\n"),
  );
}

function overallLines({ heads, rows, notes }: NonNullable<ReturnType<typeof overallTable>>): string[] {
  const [, ...rest] = heads;
  const columns = rest.map((head, at) => ({ head, cells: rows.map((row) => row[at + 1]!) }));
  return [
    ...tables(
      rows.map(([model]) => model!),
      columns,
    ),
    ...notes.flatMap((note) => wrapped(note)),
  ];
}

/** Who is significantly better than whom. */
function foundLines(comparisons: Leaderboard["comparisons"]): string[] {
  const found = comparisons.flatMap(({ benchmark, a, b, outcome }) => {
    if (outcome === null || outcome.better === "none") return [];
    const { better, difference, interval, holm } = outcome;
    const turned = better === "b";
    const bounds = turned ? [-interval.high, -interval.low] : [interval.low, interval.high];
    return [
      [
        ...(turned ? [b, a] : [a, b]),
        benchmark,
        signedText(Math.abs(difference)),
        bounds.map(signedText).join(" to "),
        holm < 0.001 ? holm.toExponential(1) : holm.toFixed(3),
      ],
    ];
  });
  if (found.length === 0) return [];
  const shown = found.slice(0, mostFound);
  const more = found.length - shown.length;
  return [
    "",
    ...table(["Better", "Than", "On", "By", "95 % interval", "p (Holm)"], shown).flatMap((line) =>
      line.length <= width ? [line] : wrapped(line.replace(/ {2,}/g, "  ")),
    ),
    ...(more > 0 ? [`${more} more stand in the page.`] : []),
  ];
}

interface TextColumn {
  readonly head: string;
  readonly cells: readonly string[];
}

/** One table or, where that were wider than a terminal, several below each other, each with the models' names. */
function tables(models: readonly string[], columns: readonly TextColumn[]): string[] {
  const named = Math.min(longestName, Math.max("Model".length, ...models.map((model) => model.length)));
  const groups: TextColumn[][] = [];
  let room = 0;
  for (const column of columns) {
    const own = 2 + Math.max(column.head.length, ...column.cells.map((cell) => cell.length));
    const group = groups.at(-1);
    if (group === undefined || own > room) {
      groups.push([column]);
      room = width - named - own;
    } else {
      group.push(column);
      room -= own;
    }
  }
  return groups.flatMap((group, at) => {
    const cells = models.map((model, row) => [
      model.length > named ? "" : model,
      ...group.map((column) => column.cells[row]!),
    ]);
    const [head, ...lines] = table(["Model".padEnd(named), ...group.map((column) => column.head)], cells);
    const whole = lines.flatMap((line, row) => (models[row]!.length > named ? [models[row]!, line] : [line]));
    return [...(at === 0 ? [] : [""]), head!, ...whole];
  });
}

/** Text in lines of a terminal's width; further lines are set in. A longer word has a line of its own. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line === "") line = word;
    else if (line.length + 1 + word.length <= width) line += ` ${word}`;
    else {
      lines.push(line);
      line = `  ${word}`;
    }
  }
  return [...lines, line];
}
