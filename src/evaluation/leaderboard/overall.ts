import { mean } from "../mean.ts";
import type { Overall } from "./schema.ts";
import type { BenchmarkResult, Figure } from "./table.ts";

/**
 * Means and mean ranks over the benchmarks where every one of `models` has its main figure. Figures of different units are never averaged,
 * ranks may be. A standard error takes the benchmarks to be independent, and is there where each figure has one.
 */
export function overallOf(results: readonly BenchmarkResult[], models: readonly string[]): Overall {
  const whole = results.map((result) => {
    const figures = models.map((model) => mainFigure(result, model));
    return { result, figures, missing: models.filter((_, at) => figures[at] === null) };
  });
  const complete = whole.flatMap(({ result, figures, missing }) =>
    missing.length === 0 && figures.length > 0 ? [{ result, figures: figures.map((figure) => figure!) }] : [],
  );
  const units = [...new Set(complete.map(({ result }) => result.columns[0]!.unit))];
  return {
    means: units.flatMap((unit) => {
      const same = complete.filter(({ result }) => result.columns[0]!.unit === unit);
      if (same.length < 2) return [];
      return [
        {
          unit,
          ...namesOf(same),
          models: models.map((model, at) =>
            meanOf(
              model,
              same.map((of) => of.figures[at]!),
            ),
          ),
        },
      ];
    }),
    rank:
      models.length < 2 || complete.length === 0 ? null : { ...namesOf(complete), models: meanRanks(complete, models) },
    leftOut: whole.flatMap(({ result: { benchmark }, missing }) =>
      missing.length === 0 ? [] : [{ benchmark, models: missing }],
    ),
  };
}

interface Complete {
  readonly result: BenchmarkResult;
  readonly figures: readonly Figure[];
}

/** A model's main figure on a benchmark; null where there is none. */
function mainFigure({ columns, models }: BenchmarkResult, model: string): Figure | null {
  return models.find((measured) => measured.model === model)?.figures[columns[0]!.key] ?? null;
}

const namesOf = (of: readonly Complete[]) => ({
  benchmarks: of.map(({ result }) => result.benchmark),
  official: of.every(({ result }) => result.official),
});

function meanOf(model: string, figures: readonly Figure[]) {
  const squares = figures.map(({ standardError }) => (standardError === undefined ? null : standardError ** 2));
  const known = squares.every((square) => square !== null);
  const sum = squares.reduce<number>((all, square) => all + (square ?? 0), 0);
  return {
    model,
    value: mean(figures.map(({ value }) => value)),
    standardError: known ? Math.sqrt(sum) / figures.length : null,
  };
}

function meanRanks(complete: readonly Complete[], models: readonly string[]) {
  const ranks = complete.map(({ figures }) => ranksOf(figures.map(({ value }) => value)));
  return models.map((model, at) => ({ model, value: mean(ranks.map((of) => of[at]!)) }));
}

/** 1 for the highest value; equal ones share the mean of their places. */
export function ranksOf(values: readonly number[]): number[] {
  return values.map((value) => {
    const above = values.filter((other) => other > value).length;
    const same = values.filter((other) => other === value).length;
    return above + (same + 1) / 2;
  });
}
