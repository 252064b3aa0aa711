import type { BoardBenchmark, Leaderboard } from "../../../evaluation/index.ts";
import { figure, figures, section, table } from "../../report/elements.ts";
import { type Html, html } from "../../report/escape.ts";
import { barsWithIntervals } from "../../report/figures.ts";
import { counted, integer } from "../../report/format.ts";
import { pageHtml } from "../../report/page.ts";
import { comparisonSection, lengthSection, winSection } from "./html-comparisons.ts";
import { categorySection, detailSection, focusSection } from "./html-details.ts";
import { figureLines } from "./html-figure.ts";
import { lookOf, mostLooks } from "./radar.ts";
import {
  dash,
  figureText,
  labelText,
  type MainCell,
  mainTable,
  methodWords,
  notOfficial,
  notOfficialWords,
  overallTable,
} from "./words.ts";

/** A leaderboard as one page that needs nothing else. */
export function leaderboardHtml(board: Leaderboard): string {
  const { name, models, benchmarks } = board;
  return pageHtml(
    `${name}: a leaderboard by Amalgam`,
    html`<header><h1>${name}</h1>
<p class="soft">A leaderboard by Amalgam: ${counted(models.length, "model")}, ${counted(benchmarks.length, "benchmark")}.</p></header>
${mainSection(board)}${overallSection(board)}${comparisonSection(board)}${winSection(board)}${categorySection(board)}
${focusSection(board)}${lengthSection(board)}${detailSection(board)}
${section("How it was computed", html`<p>${methodWords(board)}</p>\n`)}`,
  );
}

/** The name of a benchmark over its figure, its judge and its standing. */
function headOf({ benchmark, columns, judge, official }: BoardBenchmark): Html {
  const [main] = columns;
  const lines = [`${main!.title}, ${main!.unit}`, ...(judge === null ? [] : [`judge: ${judge}`])];
  const standing = official ? html`official` : html`<span class="down">not official ${notOfficial}</span>`;
  return html`${benchmark}${lines.map((line) => html`<br>${line}`)}<br>${standing}`;
}

/** The one table, with its footnotes and charts, and in place of the rest what `further` says. */
export function mainSection(board: Leaderboard, title = "Leaderboard", further: Html = html``): Html {
  const { rows, footnotes, common } = mainTable(board);
  type Row = (typeof rows)[number];
  return section(
    title,
    table<Row>(
      "± is the standard error; two bounds are a 95 % interval. Lengths are the mean of the answers, in characters.",
      [
        { head: "Model", cell: ({ model }) => model },
        ...board.benchmarks.flatMap((benchmark, at) => [
          {
            head: headOf(benchmark),
            kind: "figure" as const,
            cell: ({ cells }: Row) => cellOf(cells[at]!),
          },
          ...(benchmark.lengths.length === 0
            ? []
            : [
                {
                  head: html`Length<br>${benchmark.benchmark}`,
                  kind: "figure" as const,
                  cell: ({ cells }: Row) => (cells[at]!.length === null ? dash : integer(cells[at]!.length)),
                },
              ]),
        ]),
      ],
      rows,
    ),
    board.benchmarks.some(({ official }) => !official)
      ? html`<p class="soft">${notOfficial} ${notOfficialWords}.</p>\n`
      : html``,
    common.length === 0 ? html`` : html`<ul class="soft">${common.map((note) => html`<li>${note}</li>\n`)}</ul>\n`,
    footnotes.length === 0
      ? html``
      : html`<ol class="soft">${footnotes.map((note) => html`<li>${note}</li>\n`)}</ol>\n`,
    chartsOf(board),
    further,
  );
}

function cellOf({ benchmark, figure: own, note }: MainCell): Html {
  const reference = note === null ? "" : `(${note})`;
  if (own === null) return html`${dash} ${reference}`;
  return figureLines(own, benchmark.columns[0]!.unit, benchmark.official, reference);
}

function chartsOf({ benchmarks, models }: Leaderboard): Html {
  const drawn = benchmarks.flatMap((benchmark) => {
    const [main] = benchmark.columns;
    const rows = benchmark.models.flatMap(({ model, figures: own }) => {
      const found = own[main!.key] ?? null;
      if (found === null) return [];
      const half = 1.96 * (found.standardError ?? 0);
      const [low, high] = found.interval ?? [found.value - half, found.value + half];
      const place = models.indexOf(model);
      return [
        {
          label: model,
          note: `${figureText(found, main!.unit)}${benchmark.official ? "" : ` ${notOfficial}`}`,
          colour: place < mostLooks ? lookOf(place).colour : ("others" as const),
          value: found.value,
          interval: { low, high },
        },
      ];
    });
    if (rows.length === 0) return [];
    const title = `${labelText(benchmark)}: ${main!.title}, ${main!.unit}`;
    return [figure(barsWithIntervals(title, rows), `${title}. Whiskers: 95 %.`)];
  });
  return figures(drawn);
}

function overallSection(board: Leaderboard): Html {
  const overall = overallTable(board);
  if (overall === null) return html``;
  type Row = readonly string[];
  return section(
    "Over all",
    overall.heads.length === 0
      ? html``
      : table<Row>(
          "Only over benchmarks where every model has its figure.",
          overall.heads.map((head, at) => ({
            head,
            ...(at === 0 ? {} : { kind: "figure" as const }),
            cell: (row: Row) => row[at]!,
          })),
          overall.rows,
        ),
    html`<ul class="soft">${overall.notes.map((note) => html`<li>${note}</li>\n`)}</ul>\n`,
  );
}
