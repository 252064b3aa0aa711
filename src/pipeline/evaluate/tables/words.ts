import {
  type BoardBenchmark,
  type Column,
  type Figure,
  type Leaderboard,
  type PairComparison,
  standingName,
} from "../../../evaluation/index.ts";
import { counted, integer } from "../../report/format.ts";

export const dash = "–";

/** Follows every figure that may not stand beside published ones. */
export const notOfficial = "†";

export const notOfficialWords =
  "not official: the questions, prompts, judge or baseline are not all those of the benchmark's published figures, which it must not stand beside";

const isWhole = (unit: Column["unit"]) => unit === "characters" || unit === "tokens";

/** A value in its column's unit: rates and points with two decimals. */
export const valueText = (value: number, unit: Column["unit"]): string =>
  isWhole(unit) ? integer(value) : value.toFixed(2).replace(/^-(0\.00)$/, "$1");

export const signedText = (value: number): string => `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(2)}`;

/** How sure a figure is: its standard error, else its interval; empty where neither is known. */
export function spreadText({ standardError, interval }: Figure, unit: Column["unit"]): string {
  if (standardError !== undefined) return `± ${valueText(standardError, unit)}`;
  return interval === undefined ? "" : `(${interval.map((bound) => valueText(bound, unit)).join(" to ")})`;
}

/** 54.12 ± 1.30, or 54.12 (51.40 to 56.80). */
export const figureText = (figure: Figure, unit: Column["unit"]): string =>
  [valueText(figure.value, unit), spreadText(figure, unit)].filter((part) => part !== "").join(" ");

/** Who judges, and whether it is official: stands in the head of a benchmark's every column. */
export const standingText = ({ judge, official }: Pick<BoardBenchmark, "judge" | "official">): string =>
  [...(judge === null ? [] : [`judge: ${judge}`]), official ? "official" : `not official ${notOfficial}`].join(", ");

/** A benchmark's name with its judge and standing, where figures of it stand outside of its own table. */
export const labelText = (benchmark: Pick<BoardBenchmark, "benchmark" | "judge" | "official">): string =>
  `${standingName(benchmark)}${benchmark.official ? "" : ` ${notOfficial}`}`;

/** A model's main figure on one benchmark, as the one table shows it. */
export interface MainCell {
  readonly benchmark: BoardBenchmark;
  readonly figure: Figure | null;
  /** Mean length of its answers in characters. */
  readonly length: number | null;
  /** The number of its footnote. */
  readonly note: number | null;
}

export interface MainTable {
  readonly rows: readonly { readonly model: string; readonly cells: readonly MainCell[] }[];
  readonly footnotes: readonly string[];
  /** What holds for all models of a benchmark alike, a line each. */
  readonly common: readonly string[];
}

/** One row for each model and one cell for each benchmark; what a reader should know of a cell is its footnote. */
export function mainTable({ models, benchmarks }: Leaderboard): MainTable {
  const footnotes: string[] = [];
  const shared = benchmarks.map(sharedNotes);
  const rows = models.map((model) => ({
    model,
    cells: benchmarks.map((benchmark, at): MainCell => {
      const own = benchmark.models.find((each) => each.model === model);
      const figure = own?.figures[benchmark.columns[0]!.key] ?? null;
      const words = wordsOf(own, figure, shared[at]!);
      if (words.length > 0) footnotes.push(`${model} on ${benchmark.benchmark}: ${words.join("; ")}.`);
      const length = benchmark.lengths.find((each) => each.model === model)?.mean ?? null;
      return { benchmark, figure, length, note: words.length > 0 ? footnotes.length : null };
    }),
  }));
  const common = benchmarks.flatMap(({ benchmark }, at) => {
    const words = [...shared[at]!].map(withoutStop);
    return words.length === 0 ? [] : [`${benchmark}: ${words.join("; ")}.`];
  });
  return { rows, footnotes, common };
}

/** Notes that every model of a benchmark has. */
function sharedNotes({ models: [first, ...others] }: BoardBenchmark): ReadonlySet<string> {
  const everywhere = (note: string) => others.every(({ notes }) => notes.includes(note));
  return new Set((first?.notes ?? []).filter(everywhere));
}

const withoutStop = (note: string): string => note.replace(/\.$/, "");

function wordsOf(
  own: BoardBenchmark["models"][number] | undefined,
  figure: Figure | null,
  shared: ReadonlySet<string>,
): string[] {
  if (own === undefined) return ["not measured"];
  return [
    ...(figure === null ? ["there is no figure"] : []),
    ...(own.failed > 0
      ? [
          `${integer(own.failed)} of its answers or verdicts could not be had, and count${own.failed === 1 ? "s" : ""} nowhere`,
        ]
      : []),
    ...own.notes.filter((note) => !shared.has(note)).map(withoutStop),
  ];
}

export interface OverallTable {
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Of what the columns are. */
  readonly notes: readonly string[];
}

/** Means over benchmarks of one unit and mean ranks, each named by what it is over; null where there are none. */
export function overallTable({ overall, models }: Leaderboard): OverallTable | null {
  const { means, rank, leftOut } = overall;
  const notes = leftOut.map(
    ({ benchmark, models: without }) =>
      `${benchmark} counts in none of these: ${without.join(", ")} ${without.length === 1 ? "has" : "have"} no figure there.`,
  );
  if (means.length === 0 && rank === null) return notes.length === 0 ? null : { heads: [], rows: [], notes };
  const mark = (official: boolean) => (official ? "" : ` ${notOfficial}`);
  const of = (benchmarks: readonly string[]) => counted(benchmarks.length, "benchmark");
  return {
    heads: [
      "Model",
      ...means.map(({ unit, benchmarks }) => `Mean of ${of(benchmarks)} (${unit})`),
      ...(rank === null ? [] : [`Mean rank on ${of(rank.benchmarks)}`]),
    ],
    rows: models.map((model, at) => [
      model,
      ...means.map(({ unit, official, models: own }) => {
        const { value, standardError } = own[at]!;
        return `${figureText({ value, ...(standardError === null ? {} : { standardError }) }, unit)}${mark(official)}`;
      }),
      ...(rank === null ? [] : [`${rank.models[at]!.value.toFixed(2)}${mark(rank.official)}`]),
    ]),
    notes: [
      ...means.map(
        ({ unit, benchmarks }) => `The mean in ${unit} is over ${benchmarks.join(", ")}, each counting the same.`,
      ),
      ...(rank === null
        ? []
        : [
            `The mean rank is over ${rank.benchmarks.join(", ")}: 1 is the best, equal figures share the mean of their places.`,
          ]),
      ...notes,
    ],
  };
}

/** What all comparisons come to, in plain words. */
export interface ComparisonWords {
  readonly summary: string;
  /** The significant ones. */
  readonly sentences: readonly string[];
}

export function comparisonWords(comparisons: readonly PairComparison[]): ComparisonWords {
  const tested = comparisons.flatMap(({ outcome }) => (outcome === null ? [] : [outcome]));
  const found = tested.filter(({ better }) => better !== "none");
  const alone = tested.filter(({ better, pValue }) => better === "none" && pValue <= 0.05).length;
  const rate = tested.filter(({ benjaminiHochberg }) => benjaminiHochberg <= 0.05).length;
  const skipped = comparisons.length - tested.length;
  const summary = [
    `${counted(tested.length, "comparison")} of two models on a benchmark; ${found.length} significant after Holm's correction for all of them.`,
    ...(alone > 0
      ? [`${alone} more would pass alone, which says little among so many: one in twenty passes by chance.`]
      : []),
    `By Benjamini and Hochberg's correction, which bounds the share of false findings instead, ${rate} would be.`,
    ...(skipped > 0 ? [`${counted(skipped, "pair")} had no question in common.`] : []),
  ].join(" ");
  return {
    summary,
    sentences: comparisons
      .filter(({ outcome }) => outcome !== null && outcome.better !== "none")
      .map(({ sentence }) => sentence),
  };
}

/** Who is better by a comparison: the model's name, or a dash. */
export const betterText = ({ a, b, outcome }: PairComparison): string =>
  outcome === null || outcome.better === "none" ? dash : outcome.better === "a" ? a : b;

/** Said where the tests are of something else than the main figure. */
export const otherFigureWords = ({ columns }: BoardBenchmark): string =>
  `The figure "${columns[0]!.title}" is no plain mean over questions; comparisons, wins, gains and losses are of the questions' own values.`;

/** How the tables came about. */
export const methodWords = ({ resampling }: Leaderboard): string =>
  `Two models are compared on the questions that both have a verdict for; no missing one is made up. Intervals: 95 %, paired bootstrap over questions. ` +
  `P-values: two-sided permutation test by sign flips over questions; both are exact for answers right or wrong and for few questions, else of ${integer(resampling.resamples)} draws of seed ${resampling.seed}. ` +
  `Win rates count ties half, with Wilson's 95 % interval. Significant means that the interval excludes 0 and Holm's p-value is 0.05 at most.`;
