import { fitLogistic } from "../logistic.ts";
import { numpyRandom } from "../random/numpy-random.ts";
import { logSigmoid, sigmoid } from "../sigmoid.ts";
import type { Outcome } from "./battles.ts";
import { minimiseLbfgs } from "./lbfgs.ts";
import { arenaSeed, winRateOfElo } from "./win-rate.ts";

/** The style of an answer: its tokens, headers, list items and bold words. */
export type Style = readonly [tokens: number, headers: number, lists: number, bold: number];

/** A battle with the style of both answers. */
export interface StyledBattle {
  readonly model: number;
  readonly outcome: Outcome;
  readonly baselineStyle: Style;
  readonly modelStyle: Style;
}

export interface StyleControl {
  /** Of each model over the baseline, were their answers alike in style. */
  readonly winRates: readonly number[];
  /** What a standard deviation of each feature is worth, in logits. */
  readonly coefficients: readonly number[];
}

/** Which features are controlled for. */
export const styleFeatures = { style: [0, 1, 2, 3], length: [0], markdown: [1, 2, 3] } as const;
export type StyleFeatures = keyof typeof styleFeatures;

const base = Math.log(10);

/**
 * Win rates over the baseline with style held alike, as arena-hard-auto v0.1 with `--style-control` computes them of all battles together: a
 * logistic fit with the differences of style, each a share of both answers' sum and standardised, and a penalty of half the squared weights; by the same
 * minimiser from the same start, so that it ends where the official one does. A feature
 * that is the same in all battles tells nothing (the official code fails there); undefined where all are.
 */
export function styleControlled(
  battles: readonly StyledBattle[],
  models: number,
  features: StyleFeatures = "style",
): StyleControl | undefined {
  const columns = differences(battles, features);
  return columns && controlled(battles, columns, models);
}

/** The same for each of `rounds` resamples, with arena-hard-auto's draws: win rates by [model][round]. */
export function resampledStyleControl(
  battles: readonly StyledBattle[],
  models: number,
  rounds: number,
  features: StyleFeatures = "style",
): Float64Array[] | undefined {
  const columns = differences(battles, features);
  if (columns === undefined) return undefined;
  const draw = numpyRandom(arenaSeed);
  const rates = Array.from({ length: models }, () => new Float64Array(rounds));
  for (let round = 0; round < rounds; round += 1) {
    const drawn = battles.map(() => draw(battles.length));
    const sample = drawn.map((at) => battles[at]!);
    const { winRates } = controlled(
      sample,
      columns.map((column) => Float64Array.from(drawn, (at) => column[at]!)),
      models,
    );
    const seen = new Set(sample.map(({ model }) => model));
    for (const [model, rate] of rates.entries()) rate[round] = seen.has(model) ? winRates[model]! : Number.NaN;
  }
  return rates;
}

/** Baseline minus model as a share of both and 1 more, of mean 0 and standard deviation 1 over the battles: by [feature][battle]. */
function differences(battles: readonly StyledBattle[], features: StyleFeatures): Float64Array[] | undefined {
  const columns = styleFeatures[features].map((k) =>
    standardised(
      Float64Array.from(battles, ({ baselineStyle, modelStyle }) => {
        const [a, b] = [baselineStyle[k]!, modelStyle[k]!];
        return (a - b) / (a + b + 1);
      }),
      0,
    ),
  );
  return told(columns);
}

/** The columns, unless none tells anything. */
const told = (columns: Float64Array[]): Float64Array[] | undefined =>
  columns.some((column) => column.some((value) => value !== 0)) ? columns : undefined;

/** Of mean 0 and deviation 1; all 0 where the values are one. `lost`: degrees of freedom that the deviation has fewer than values. */
function standardised(values: Float64Array, lost: 0 | 1): Float64Array {
  if (values.every((value) => value === values[0])) return values.map(() => 0);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const spread = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - lost);
  return values.map((value) => (value - mean) / Math.sqrt(spread));
}

function controlled(
  battles: readonly Pick<StyledBattle, "model" | "outcome">[],
  columns: readonly Float64Array[],
  models: number,
): StyleControl {
  // The weights: of the baseline, of the models, of the features.
  const size = 1 + models + columns.length;
  const count = battles.length;
  // The official code has every battle twice, and one penalty.
  const penalty = 1 / (2 * count);
  const weights = minimiseLbfgs(
    (at) => {
      const gradient = at.map((weight) => penalty * weight);
      let value = (penalty / 2) * at.reduce((sum, weight) => sum + weight * weight, 0);
      for (const [i, { model, outcome }] of battles.entries()) {
        let logit = base * (at[0]! - at[1 + model]!);
        for (const [k, column] of columns.entries()) logit += at[1 + models + k]! * column[i]!;
        const baselineWon = 1 - outcome;
        value -= (baselineWon * logSigmoid(logit) + outcome * logSigmoid(-logit)) / count;
        const surplus = (sigmoid(logit) - baselineWon) / count;
        gradient[0]! += base * surplus;
        gradient[1 + model]! -= base * surplus;
        for (const [k, column] of columns.entries()) gradient[1 + models + k]! += surplus * column[i]!;
      }
      return { value, gradient };
    },
    size,
    { gradientTolerance: 1e-4, mostSteps: 100 },
  );
  return {
    winRates: Array.from({ length: models }, (_, model) =>
      winRateOfElo(1000 + 400 * (weights[1 + model]! - weights[0]!)),
    ),
    coefficients: [...weights.subarray(1 + models)],
  };
}

/** So small that the fit is the likeliest one, and yet has an end where a model never wins. */
const leastRidge = 1e-6;

/**
 * The same in v2.0: lengths are compared as shares of their sum, headers, lists and bold words by how dense they are, standardised by the sample's
 * deviation; the likeliest strengths without penalty. The official figure is the median of 100 unseeded resamples, each fitted for 50 steps;
 * this is the converged fit of all battles, which those scatter about. Undefined where every feature is the same in all battles.
 */
export function styleControlledV2(battles: readonly StyledBattle[], models: number): StyleControl | undefined {
  const density = (style: Style, k: number) => style[k]! / (style[0] + 1);
  const columns = styleFeatures.style.map((k) =>
    standardised(
      Float64Array.from(battles, ({ baselineStyle, modelStyle }) => {
        if (k === 0) return ratio(modelStyle[0] - baselineStyle[0], modelStyle[0] + baselineStyle[0]);
        const [a, b] = [density(modelStyle, k), density(baselineStyle, k)];
        return (a - b) / (a + b + 1);
      }),
      1,
    ),
  );
  if (told(columns) === undefined) return undefined;
  const contrasts = battles.flatMap(({ model, outcome }, i) => {
    const which = Array.from({ length: models }, (_, other) => (other === model ? 1 : 0));
    const difference: number[] = [...which, ...columns.map((column) => column[i]!)];
    const lost = difference.map((value) => -value);
    return [
      { difference, weight: outcome },
      { difference: lost, weight: 1 - outcome },
    ].filter(({ weight }) => weight > 0);
  });
  const weights = fitLogistic(contrasts, { ridge: leastRidge });
  return { winRates: weights.slice(0, models).map(sigmoid), coefficients: weights.slice(models) };
}

const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
