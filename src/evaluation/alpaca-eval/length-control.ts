import { DataError } from "../../schema/index.ts";
import { mean } from "../mean.ts";
import { sigmoid } from "../sigmoid.ts";
import { standardDeviation } from "./deviation.ts";
import { type FoldOrder, foldsOf } from "./folds.ts";
import { type Example, fitLasso } from "./lasso-logistic.ts";
import { winProbability } from "./win-rate.ts";

/** One comparison with the baseline. */
export interface Compared {
  /** 1..2, 2 where the model wins; 0 is a draw, null no verdict. */
  readonly preference: number | null;
  /** Code points of the outputs. */
  readonly baselineLength: number;
  readonly modelLength: number;
}

/** A row of AlpacaEval's df_gamed.csv: the baseline asked to be verbose or concise, against itself. */
export interface Gamed {
  readonly preference: number;
  /** Length difference over its standard deviation. */
  readonly length: number;
  readonly difficulty: number;
}

export interface LengthControlled {
  /** Per cent. */
  readonly winRate: number;
  readonly standardError: number;
  /** Of tanh of the length difference, of the instruction's difficulty, and of being no gamed row. */
  readonly weights: readonly [length: number, difficulty: number, model: number];
  /** The inverse strength of the penalty that cross-validation chose. */
  readonly cost: number;
  /** For each strength, the sum over folds of the mean log-likelihood. */
  readonly foldScores: readonly number[];
  /** What the model would win at equal length, of each comparison, 0..1. */
  readonly preferences: readonly number[];
}

const folds = 5;
const costs = Array.from({ length: 10 }, (_, k) => 10 ** (-4 + (8 * k) / 9));
/** What numpy's RandomState(123) gives for the fits at each strength; the last fit begins anew with the first. */
const seeds = [
  843828734, 914636141, 1228959102, 1840268610, 974319580, 819844194, 220395238, 941243409, 942612051, 2109339754,
];
/** Both gamed rows of an instruction together. */
const gamedShare = 0.2;

interface Row {
  readonly features: readonly [number, number, number];
  /** How probable it is that the model is preferred. */
  readonly target: number;
  readonly weight: number;
}

/**
 * AlpacaEval's length-controlled win rate (Dubois et al. 2024, arXiv 2404.04475), as alpaca-eval 0.6.6 computes it (length_controlled_v1): an L1
 * logistic regression of the preferences on tanh of the length difference, the instruction's difficulty and a constant, its penalty chosen by
 * 5-fold cross-validation; then the mean probability of winning with the length term taken out. Row i has the difficulty of instruction i.
 * The folds hang on how numpy sorts what is alike: `order` says on which machine.
 *
 * @throws DataError for lengths that don't differ, and where no comparison has a verdict
 */
export function lengthControlled(
  rows: readonly Compared[],
  gamed: readonly Gamed[],
  order: FoldOrder = "scalar",
): LengthControlled {
  const difficulties = difficultiesOf(rows, gamed);
  const differences = rows.map(({ baselineLength, modelLength }) => baselineLength - modelLength);
  const spread = standardDeviation(differences);
  if (!(spread > 0))
    throw new DataError("all outputs differ by the same length from the baseline's, so lengths can't be controlled", {
      hint: "Look at the outputs: are they the baseline's own?",
    });
  const judged = rows.flatMap(({ preference }, i): Row[] => {
    if (preference === null) return [];
    const features = [Math.tanh(differences[i]! / spread), difficulties[i]!, 1] as const;
    return [{ features, target: winProbability(preference), weight: 1 }];
  });
  if (judged.length === 0) throw new DataError("no comparison has a verdict");
  const training = [
    ...gamed.map(
      ({ preference, length, difficulty }): Row => ({
        features: [Math.tanh(length), difficulty, 0],
        target: preference,
        weight: gamedShare / 2,
      }),
    ),
    ...judged,
  ];
  const foldOf = foldsOf(training.length, folds, order);
  const foldScores = costs.map(() => 0);
  for (let fold = 0; fold < folds; fold += 1) {
    const [kept, held] = [training.filter((_, i) => foldOf[i] !== fold), training.filter((_, i) => foldOf[i] === fold)];
    for (const [k, cost] of costs.entries())
      foldScores[k]! += logLikelihood(held, fitLasso(examplesOf(kept), cost, seeds[k]!));
  }
  const best = foldScores.indexOf(Math.max(...foldScores));
  const weights = fitLasso(examplesOf(training), costs[best]!, seeds[0]!) as [number, number, number];
  return { ...atEqualLength(weights, difficulties), weights, cost: costs[best]!, foldScores };
}

/** What weights that were fitted before say of instructions of these difficulties. */
export function atEqualLength(
  [, difficultyWeight, modelWeight]: LengthControlled["weights"],
  difficulties: readonly number[],
): Pick<LengthControlled, "winRate" | "standardError" | "preferences"> {
  const preferences = difficulties.map((difficulty) => sigmoid(difficultyWeight * difficulty + modelWeight));
  return {
    winRate: 100 * mean(preferences),
    standardError: (100 * standardDeviation(preferences)) / Math.sqrt(preferences.length),
    preferences,
  };
}

/** Each row as an example of winning and one of losing, so far as each is probable. */
const examplesOf = (rows: readonly Row[]): Example[] =>
  [true, false].flatMap((positive) =>
    rows.map(({ features, target, weight }) => ({
      features,
      positive,
      weight: weight * (positive ? target : 1 - target),
    })),
  );

function logLikelihood(rows: readonly Row[], weights: readonly number[]): number {
  const within = (p: number) => Math.min(Math.max(p, 1e-15), 1 - 1e-15);
  return mean(
    rows.map(({ features, target, weight }) => {
      const p = within(sigmoid(features.reduce((sum, x, j) => sum + x * weights[j]!, 0)));
      return weight * (target * Math.log(p) + (1 - target) * Math.log(1 - p));
    }),
  );
}

function difficultiesOf(rows: readonly Compared[], gamed: readonly Gamed[]): number[] {
  const known = gamed.slice(0, rows.length);
  if (known.length < rows.length)
    throw new DataError(`there are ${rows.length} comparisons, and difficulties of ${known.length} instructions`);
  return known.map(({ difficulty }) => difficulty);
}
