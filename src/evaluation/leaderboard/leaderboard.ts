import { DataError } from "../../schema/index.ts";
import { mean } from "../mean.ts";
import type { Resampling } from "../resampling.ts";
import { comparePairs, itemsById } from "./comparisons.ts";
import { focusOf } from "./focus.ts";
import { lengthsOf } from "./lengths.ts";
import { overallOf } from "./overall.ts";
import type { BoardBenchmark, Leaderboard } from "./schema.ts";
import type { BenchmarkResult, Measured } from "./table.ts";

export interface LeaderboardOptions {
  /** Of the suite. */
  readonly name: string;
  readonly resampling: Resampling;
  /** Whose gains and losses are shown, and against whom. */
  readonly focus?: { readonly model: string; readonly baseline: string } | undefined;
  /** Gains, and losses, of each benchmark that are shown with their texts; 5 without. */
  readonly examples?: number | undefined;
}

/**
 * What stands in the tables of a suite: figures, overall means and ranks, every two models compared, categories, lengths, gains and
 * losses. Plain JSON; texts of answers stand in the gains and losses only. The models are in the order in which they first come.
 *
 * @throws DataError where the models of `focus` are none of those; Error for results that contradict themselves.
 */
export function leaderboardOf(results: readonly BenchmarkResult[], options: LeaderboardOptions): Leaderboard {
  const { name, resampling, focus, examples = 5 } = options;
  refuseImpossible(results);
  const models = [...new Set(results.flatMap((result) => result.models.map(({ model }) => model)))];
  for (const wanted of focus === undefined ? [] : [focus.model, focus.baseline]) {
    if (!models.includes(wanted))
      throw new DataError(`there is no model ${wanted} in the leaderboard`, {
        hint: `There are: ${models.join(", ")}.`,
      });
  }
  return {
    version: 1,
    name,
    models,
    resampling: { resamples: resampling.resamples, seed: resampling.seed },
    benchmarks: results.map(boardOf),
    overall: overallOf(results, models),
    comparisons: comparePairs(results, models, resampling),
    focus: focus === undefined ? null : focusOf(results, focus.model, focus.baseline, examples),
  };
}

function boardOf(result: BenchmarkResult): BoardBenchmark {
  const { benchmark, kind, judge, official, columns, models } = result;
  const questions = new Map<string, string | undefined>();
  for (const { items } of models)
    for (const { id, category } of items) questions.set(id, questions.get(id) ?? category);
  const byId = models.map(itemsById);
  const areas = areasOf(models);
  return {
    ...{ benchmark, kind, judge, official, columns: columns.map((column) => ({ ...column })) },
    figureIsMean: models.every((measured) => figureIsMean(measured, columns[0]!.key)),
    models: models.map(({ model, figures, items, failed, notes }) => ({
      model,
      figures: Object.fromEntries(
        columns.map(({ key }) => {
          const figure = figures[key] ?? null;
          return [key, figure === null ? null : copied(figure)];
        }),
      ),
      questions: items.length,
      failed,
      notes: [...notes],
    })),
    lengths: lengthsOf(result),
    categories: categoriesOf(models, [...questions.values()]),
    ...(areas.length === 0 ? {} : { areas }),
    questions: [...questions].map(([id, category]) => (category === undefined ? { id } : { id, category })),
    values: models.map(({ model }, at) => ({
      model,
      values: [...questions.keys()].map((id) => byId[at]!.get(id)?.value ?? null),
    })),
  };
}

const copied = ({ interval, ...figure }: BoardFigure) => ({
  ...figure,
  ...(interval === undefined ? {} : { interval: [interval[0], interval[1]] as [number, number] }),
});
type BoardFigure = NonNullable<Measured["figures"][string]>;

/** Rates that a benchmark rounds are the mean, too. */
const roundedTo = 0.006;

function figureIsMean({ figures, items }: Measured, key: string): boolean {
  const figure = figures[key];
  if (figure === undefined || figure === null || items.length === 0) return true;
  return Math.abs(mean(items.map(({ value }) => value)) - figure.value) <= roundedTo;
}

function categoriesOf(models: readonly Measured[], ofQuestions: readonly (string | undefined)[]) {
  const named = models.flatMap(({ categories }) => Object.keys(categories));
  const known = new Set(named);
  const inOrder = ofQuestions.filter((category) => category !== undefined && known.has(category)) as string[];
  return [...new Set([...inOrder, ...named])].map((name) => ({
    name,
    models: models.map(({ model, categories, items }) => ({
      model,
      figure: Object.hasOwn(categories, name) ? copied(categories[name]!) : null,
      questions: items.filter(({ category }) => category === name).length,
    })),
  }));
}

/** In the order of the first model that has them; an area has all categories that any model has of it. */
function areasOf(models: readonly Measured[]) {
  const known = new Map<string, Set<string>>();
  for (const { name, categories } of models.flatMap(({ areas = [] }) => areas))
    known.set(name, new Set([...(known.get(name) ?? []), ...categories]));
  return [...known].map(([name, categories]) => ({
    name,
    categories: [...categories],
    models: models.map(({ model, areas = [], items }) => {
      const figure = areas.find((area) => area.name === name)?.figure;
      return {
        model,
        figure: figure === undefined ? null : copied(figure),
        questions: items.filter(({ category }) => category !== undefined && categories.has(category)).length,
      };
    }),
  }));
}

function refuseImpossible(results: readonly BenchmarkResult[]): void {
  const twice = (names: readonly string[]) => names.find((name, at) => names.indexOf(name) !== at);
  const benchmark = twice(results.map((result) => result.benchmark));
  if (benchmark !== undefined) throw new Error(`two benchmarks are called ${benchmark}`);
  for (const { benchmark: name, columns, models } of results) {
    if (columns.length === 0) throw new Error(`${name} has no column`);
    const model = twice(models.map((measured) => measured.model));
    if (model !== undefined) throw new Error(`two models of ${name} are called ${model}`);
    for (const { model: of, figures, categories, areas = [], items } of models) {
      const all = [...Object.values(figures), ...Object.values(categories), ...areas.map(({ figure }) => figure)];
      const numbers = all.flatMap((figure) =>
        figure === null ? [] : [figure.value, figure.standardError ?? 0, ...(figure.interval ?? [])],
      );
      const bad = [...numbers, ...items.map(({ value }) => value)].find((value) => !Number.isFinite(value));
      if (bad !== undefined) throw new Error(`a figure of ${of} on ${name} is ${bad}`);
    }
  }
}
