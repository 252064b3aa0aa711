import {
  type BoardBenchmark,
  type BoardPart,
  type Leaderboard,
  type Moved,
  unitOfDifference,
} from "../../../evaluation/index.ts";
import { figure, section, table } from "../../report/elements.ts";
import { type Html, html } from "../../report/escape.ts";
import { counted, integer } from "../../report/format.ts";
import { figureLines } from "./html-figure.ts";
import { lookLegend, lookOf, mostLooks, radar } from "./radar.ts";
import { dash, figureText, labelText, notOfficial, signedText, standingText, valueText } from "./words.ts";

/** Longest text of one answer that is shown, in characters. */
const shownLength = 6000;
/** So many axes of a radar can be read. */
const radarAxes = { least: 3, most: 16 } as const;

/** The table of so many models stands beside the radar, of more below it. */
const besideRadar = 4;

const mark = ({ official }: BoardBenchmark): string => (official ? "" : ` ${notOfficial}`);

export function categorySection({ benchmarks, models }: Leaderboard): Html {
  const shown = benchmarks.filter(({ categories }) => categories.length > 0);
  if (shown.length === 0) return html``;
  return section(
    "By category",
    ...shown.map(
      (benchmark) =>
        html`<h3>${benchmark.benchmark}: ${benchmark.columns[0]!.title}, ${benchmark.columns[0]!.unit} (${standingText(benchmark)})</h3>
<div${benchmark.models.length > besideRadar ? html`` : html` class="pair"`}>${radarOf(benchmark, models)}${partTables(benchmark)}</div>\n`,
    ),
  );
}

function radarOf(benchmark: BoardBenchmark, models: readonly string[]): Html {
  const { areas, categories } = benchmark;
  const [parts, name] = areas === undefined ? [categories, "category"] : [areas, "area"];
  if (parts.length < radarAxes.least || parts.length > radarAxes.most) return html``;
  const lines = benchmark.models.flatMap(({ model }) => {
    const place = models.indexOf(model);
    const values = parts.map((part) => part.models.find((each) => each.model === model)?.figure?.value ?? null);
    return place >= mostLooks || values.every((value) => value === null)
      ? []
      : [{ name: model, look: lookOf(place), values }];
  });
  const isBelow0 = lines.some(({ values }) => values.some((value) => value !== null && value < 0));
  if (lines.length === 0 || isBelow0) return html``;
  const left = benchmark.models.length - lines.length;
  return html`<div>${lookLegend(lines)}${figure(
    radar(
      `${benchmark.benchmark} by ${name}`,
      parts.map(({ name }) => name),
      lines,
    ),
    `${benchmark.columns[0]!.title} by ${name}, ${benchmark.columns[0]!.unit}, 0 in the middle${left === 0 ? "" : `; ${counted(left, "model")} in the table only`}.`,
  )}</div>`;
}

function partTables(benchmark: BoardBenchmark): Html {
  const { areas, categories } = benchmark;
  const shown = partTable(benchmark, "category", categories);
  const all =
    categories.length <= radarAxes.most
      ? shown
      : html`<details><summary>All ${integer(categories.length)} categories</summary>${shown}</details>\n`;
  return html`<div>${areas === undefined ? html`` : partTable(benchmark, "area", areas)}${all}</div>`;
}

function partTable({ models, columns, official }: BoardBenchmark, name: string, parts: readonly BoardPart[]): Html {
  return table<BoardPart>(
    `The main figure within each ${name}. Questions: those with a verdict, of the model that has most.`,
    [
      { head: `${name[0]!.toUpperCase()}${name.slice(1)}`, cell: ({ name }) => name },
      {
        head: "Questions",
        kind: "figure",
        cell: (row) => integer(Math.max(0, ...row.models.map(({ questions }) => questions))),
      },
      ...models.map(({ model }, at) => ({
        head: model,
        kind: "figure" as const,
        cell: (row: BoardPart) => {
          const found = row.models[at]!.figure;
          return found === null ? dash : figureLines(found, columns[0]!.unit, official);
        },
      })),
    ],
    parts,
  );
}

export function focusSection({ focus, benchmarks }: Leaderboard): Html {
  if (focus === null) return html``;
  const { model, baseline } = focus;
  return section(
    `Where ${model} gained and lost most against ${baseline}`,
    html`<p class="soft">Picked by the difference alone; among equals a digest of the question's id decides.</p>\n`,
    ...focus.benchmarks.map(({ benchmark, better, same, worse, gained, lost }) => {
      const board = benchmarks.find((each) => each.benchmark === benchmark)!;
      const box = (moved: Moved) => movedBox(moved, board, model, baseline);
      return html`<h3>${labelText(board)}</h3>
<p>Better on ${counted(better, "question")}, the same on ${integer(same)}, worse on ${integer(worse)}.</p>
${boxes("gained", gained.map(box))}${boxes("lost", lost.map(box))}`;
    }),
  );
}

const boxes = (kind: string, shown: readonly Html[]): Html =>
  shown.length === 0
    ? html``
    : html`<details><summary>The ${counted(shown.length, "question")} where it ${kind} most</summary>${shown}</details>\n`;

function movedBox(moved: Moved, { columns }: BoardBenchmark, model: string, baseline: string): Html {
  const { id, category, question, difference, model: after, baseline: before } = moved;
  const { unit } = columns[0]!;
  const side = (
    name: string,
    { value, answer, words }: Moved["model"],
  ) => html`<div><strong>${name}</strong>: ${valueText(value, unit)} ${unit}
${answer === undefined ? html`` : said(answer, "An empty answer.")}
${words === undefined ? html`` : html`<div class="soft">The judge:</div>${said(words, "Nothing.")}`}</div>`;
  return html`<div class="example">
<h3><span class="${difference > 0 ? "up" : "down"}">${signedText(difference)}</span> ${unitOfDifference(unit)}</h3>
<p class="soft">Question <code>${id}</code>${category === undefined ? "" : `, ${category}`}</p>
${question === undefined ? html`` : said(question, "An empty question.")}
<div class="pair">${side(baseline, before)}${side(model, after)}</div>
</div>\n`;
}

function said(text: string, empty: string): Html {
  if (text.trim() === "") return html`<p class="yet">${empty}</p>\n`;
  const characters = [...text];
  const more = characters.length - shownLength;
  const shown = more > 0 ? characters.slice(0, shownLength).join("") : text;
  const rest =
    more > 0 ? html`<p class="soft">${counted(more, "more character")}: leaderboard.json has the whole.</p>` : html``;
  return html`<div class="said" dir="auto" tabindex="0">${shown}</div>${rest}\n`;
}

export function detailSection({ benchmarks }: Leaderboard): Html {
  return section(
    "All figures",
    ...benchmarks.map((benchmark) => {
      type Row = BoardBenchmark["models"][number];
      return table<Row>(
        labelText(benchmark),
        [
          { head: "Model", cell: ({ model }) => model },
          ...benchmark.columns.map(({ key, title, unit }) => ({
            head: `${title} (${unit})`,
            kind: "figure" as const,
            cell: ({ figures }: Row) => {
              const found = figures[key] ?? null;
              return found === null ? dash : `${figureText(found, unit)}${mark(benchmark)}`;
            },
          })),
          { head: "Questions", kind: "figure", cell: ({ questions }) => integer(questions) },
          { head: "Failed", kind: "figure", cell: ({ failed }) => integer(failed) },
        ],
        benchmark.models,
      );
    }),
  );
}
