import {
  bootstrapMean,
  type Contrast,
  fitLogistic,
  type Interval,
  pairKappa,
  type Resampling,
  type Vote,
} from "../../evaluation/index.ts";
import { kendall } from "../../preferences/index.ts";
import { contentKey } from "../../schema/index.ts";
import type { NamedReward } from "../reward-values.ts";
import { type Section, sectionsOf } from "./sections.ts";

/** A row with what the rewards give to each of its responses. */
export interface ScoredRow {
  /** Of the prompt: rows of one prompt are never parted by the cross-validation. */
  readonly promptId: string;
  readonly subset: string | null;
  readonly responses: readonly ScoredResponse[];
}

export interface ScoredResponse {
  readonly grade: number;
  /** All rewards together, as the recipe composes them. */
  readonly value: number;
  /** Each that said something, by name. */
  readonly values: ReadonlyMap<string, number>;
}

export interface Accuracy {
  readonly rows: number;
  readonly accuracy: number;
  readonly interval: Interval;
}

/** How a reward, or all together, orders the responses of the rows. */
export interface RewardAccuracy {
  /** Null: all rewards together. */
  readonly reward: string | null;
  readonly overall: Accuracy | null;
  readonly subsets: readonly (Accuracy & { readonly subset: string })[];
  /** The mean over the subsets, each the same; null where there are none. */
  readonly subsetMean: number | null;
  /** RewardBench's sections and their mean, where the subsets are its. */
  readonly sections: readonly Section[];
  readonly sectionMean: number | null;
  /** Rows in which it gives both of every pair the same value, or says nothing. */
  readonly silentRows: number;
}

export interface PairAgreement {
  /** Null: the labels of the file. */
  readonly pair: readonly [a: string | null, b: string];
  /** Pairs of responses that both speak of. */
  readonly pairs: number;
  readonly tau: number | null;
  readonly kappa: number | null;
}

export interface FittedWeights {
  readonly pairs: number;
  /** Free of sign: a reward with a weight below 0 speaks against the labels, beside the others. */
  readonly free: readonly FittedWeight[];
  /** None below 0, of sum 1: a recipe's. Null where no reward is of use. */
  readonly recipe: readonly FittedWeight[] | null;
  readonly folds: number;
  /** Of weights fitted without the fold that they are held to; and of the recipe's own on the same rows. */
  readonly crossValidated: Accuracy | null;
  readonly asWritten: Accuracy | null;
}

export interface FittedWeight {
  readonly reward: string;
  readonly index: number;
  readonly weight: number;
}

export interface AgreementFigures {
  readonly rows: number;
  readonly accuracies: readonly RewardAccuracy[];
  readonly agreement: readonly PairAgreement[];
  readonly fitted: FittedWeights | null;
}

/** Folds of the cross-validation. */
const foldCount = 5;

/** Of the fit, in units of a row, on values scaled to a root mean square difference of 1. */
const ridge = 1;

/** What the rewards of a recipe have in common with the labels of a file, and with each other. */
export function agreementFigures(
  rows: readonly ScoredRow[],
  rewards: readonly NamedReward[],
  resampling: Resampling,
): AgreementFigures {
  const names = rewards.map(({ name }) => name);
  const whole = (response: ScoredResponse) => response.value;
  const by = (name: string) => (response: ScoredResponse) => response.values.get(name) ?? Number.NaN;
  const labelled = names.map((name) => agreementOf(rows, [null, name], ({ grade }) => grade, by(name)));
  const among = names.flatMap((a, at) => names.slice(at + 1).map((b) => agreementOf(rows, [a, b], by(a), by(b))));
  return {
    rows: rows.length,
    accuracies: [
      accuracyOf(rows, null, whole, resampling),
      ...(names.length === 1 ? [] : names.map((name) => accuracyOf(rows, name, by(name), resampling))),
    ],
    agreement: [...labelled, ...among],
    fitted: fittedOn(
      rows,
      rewards.filter(({ isGate }) => !isGate),
      resampling,
    ),
  };
}

type RewardOf = (response: ScoredResponse) => number;

/** The pairs of a row whose labels differ, the better one first. */
function labelledPairs({ responses }: ScoredRow): [better: ScoredResponse, worse: ScoredResponse][] {
  return responses.flatMap((a) =>
    responses.flatMap((b): [ScoredResponse, ScoredResponse][] => (a.grade > b.grade ? [[a, b]] : [])),
  );
}

/** 1 where the first is the higher, 0 where it is the lower; 1/2 where neither is, but for the last bits of a sum, or one is missing. */
const wonBy = (a: number, b: number): number =>
  Math.abs(a - b) <= 1e-12 * Math.max(Math.abs(a), Math.abs(b)) ? 0.5 : a > b ? 1 : a < b ? 0 : 0.5;

/** The share of a row's pairs that are ordered as the labels have them, ties as halves. */
function rowAccuracy(row: ScoredRow, rewardOf: RewardOf): number {
  const outcomes = labelledPairs(row).map(([better, worse]) => wonBy(rewardOf(better), rewardOf(worse)));
  return outcomes.reduce((sum, outcome) => sum + outcome, 0) / outcomes.length;
}

function measured(outcomes: readonly number[], resampling: Resampling): Accuracy | null {
  if (outcomes.length === 0) return null;
  const accuracy = outcomes.reduce((sum, outcome) => sum + outcome, 0) / outcomes.length;
  return { rows: outcomes.length, accuracy, interval: bootstrapMean(outcomes, resampling) };
}

function accuracyOf(
  rows: readonly ScoredRow[],
  reward: string | null,
  rewardOf: RewardOf,
  resampling: Resampling,
): RewardAccuracy {
  const outcomes = rows.map((row) => rowAccuracy(row, rewardOf));
  const names = [...new Set(rows.flatMap(({ subset }) => subset ?? []))].sort();
  const subsets = names.map((subset) => ({
    subset,
    ...measured(
      outcomes.filter((_, at) => rows[at]!.subset === subset),
      resampling,
    )!,
  }));
  const sections = sectionsOf(subsets);
  const meanOf = (values: readonly number[]) =>
    values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  const isSilent = (row: ScoredRow) =>
    labelledPairs(row).every(([better, worse]) => wonBy(rewardOf(better), rewardOf(worse)) === 0.5);
  return {
    reward,
    overall: measured(outcomes, resampling),
    subsets,
    subsetMean: meanOf(subsets.map(({ accuracy }) => accuracy)),
    sections,
    sectionMean: meanOf(sections.map(({ accuracy }) => accuracy)),
    silentRows: rows.filter(isSilent).length,
  };
}

/** Kendall's tau-b and Cohen's kappa of two orders, over all pairs of responses to one prompt that both speak of. */
function agreementOf(rows: readonly ScoredRow[], pair: PairAgreement["pair"], a: RewardOf, b: RewardOf): PairAgreement {
  const order = kendall();
  const votes: [Vote, Vote][] = [];
  for (const { responses } of rows) {
    const [valuesA, valuesB] = [responses.map(a), responses.map(b)];
    order.add(valuesA, valuesB);
    for (let i = 1; i < responses.length; i += 1)
      for (let j = 0; j < i; j += 1) {
        const voteA = Math.sign(valuesA[i]! - valuesA[j]!);
        const voteB = Math.sign(valuesB[i]! - valuesB[j]!);
        if (!Number.isNaN(voteA) && !Number.isNaN(voteB)) votes.push([voteA as Vote, voteB as Vote]);
      }
  }
  return { pair, pairs: votes.length, tau: order.tau(), kappa: pairKappa(votes) };
}

/** What the better response of each pair has more of each reward; nothing where a reward is silent. A row counts once, whatever its pairs. */
function contrastsOf(row: ScoredRow, names: readonly string[]): Contrast[] {
  const pairs = labelledPairs(row);
  return pairs.map(([better, worse]) => ({
    difference: names.map((name) => {
      const difference = better.values.get(name)! - worse.values.get(name)!;
      return Number.isFinite(difference) ? difference : 0;
    }),
    weight: 1 / pairs.length,
  }));
}

/** The weights of the rewards' own scale that fit these comparisons best. */
function weightsFor(contrasts: readonly Contrast[], nonNegative: boolean): number[] {
  const [first] = contrasts;
  const total = contrasts.reduce((sum, { weight }) => sum + weight, 0);
  const scales = (first?.difference ?? []).map((_, j) => {
    const squares = contrasts.reduce((sum, { difference, weight }) => sum + weight * difference[j]! ** 2, 0);
    return squares === 0 ? 1 : Math.sqrt(squares / total);
  });
  const scaled = contrasts.map(({ difference, weight }) => ({
    weight,
    difference: difference.map((value, j) => value / scales[j]!),
  }));
  return fitLogistic(scaled, { ridge, nonNegative }).map((weight, j) => weight / scales[j]!);
}

function fittedOn(
  rows: readonly ScoredRow[],
  rewards: readonly NamedReward[],
  resampling: Resampling,
): FittedWeights | null {
  if (rewards.length < 2 || rows.length === 0) return null;
  const names = rewards.map(({ name }) => name);
  const contrasts = rows.map((row) => contrastsOf(row, names));
  const named = (weights: readonly number[]): FittedWeight[] =>
    rewards.map(({ name, index }, at) => ({ reward: name, index, weight: weights[at]! }));
  const all = contrasts.flat();
  const positive = weightsFor(all, true);
  const sum = positive.reduce((total, weight) => total + weight, 0);
  const foldOf = rows.map(
    ({ promptId }) => Number.parseInt(contentKey({ fold: promptId }).slice(0, 8), 16) % foldCount,
  );
  const folds = [...new Set(foldOf)];
  return {
    pairs: all.length,
    free: named(weightsFor(all, false)),
    recipe: sum > 0 ? named(positive.map((weight) => weight / sum)) : null,
    folds: folds.length,
    crossValidated:
      folds.length < 2
        ? null
        : measured(
            folds.flatMap((fold) => heldOut(contrasts, foldOf, fold)),
            resampling,
          ),
    asWritten: measured(
      contrasts.map((some) =>
        accuracyBy(
          some,
          rewards.map(({ weight }) => weight),
        ),
      ),
      resampling,
    ),
  };
}

/** The accuracy on each row of a fold of weights that were fitted on the others. */
function heldOut(contrasts: readonly (readonly Contrast[])[], foldOf: readonly number[], fold: number): number[] {
  const weights = weightsFor(contrasts.filter((_, at) => foldOf[at] !== fold).flat(), true);
  return contrasts.flatMap((some, at) => (foldOf[at] === fold ? [accuracyBy(some, weights)] : []));
}

function accuracyBy(contrasts: readonly Contrast[], weights: readonly number[]): number {
  const outcomes = contrasts.map(({ difference, weight }) => {
    const terms = difference.map((value, j) => value * weights[j]!);
    const margin = terms.reduce((sum, term) => sum + term, 0);
    const size = terms.reduce((sum, term) => sum + Math.abs(term), 0);
    // What the order of a sum leaves in its last bits is a tie.
    return weight * wonBy(Math.abs(margin) <= 1e-12 * size ? 0 : margin, 0);
  });
  return outcomes.reduce((sum, outcome) => sum + outcome, 0);
}
