import { DataError } from "../../schema/index.ts";
import { mean } from "../mean.ts";
import { standardDeviation } from "./deviation.ts";

/** AlpacaEval's plain figures; rates and the error are per cent. */
export interface WinRate {
  readonly winRate: number;
  /** Of the mean over comparisons. */
  readonly standardError: number;
  readonly wins: number;
  readonly losses: number;
  readonly draws: number;
  readonly total: number;
  /** A win counts 1 and a draw half, however sure the judge was. */
  readonly discreteWinRate: number;
}

/** A preference's probability that the model wins: 2 is certain, 1 certain that it loses, 1.5 (and, as once written, 0) a draw. */
export const winProbability = (preference: number): number => (preference === 0 ? 1.5 : preference) - 1;

/**
 * The win rate over preferences of 1..2, as alpaca-eval 0.6.6 computes it; null is a comparison without a verdict, which doesn't count.
 *
 * @throws DataError where none counts
 */
export function winRate(preferences: readonly (number | null)[]): WinRate {
  const won = preferences.flatMap((preference) => (preference === null ? [] : [winProbability(preference)]));
  if (won.length === 0) throw new DataError("no comparison has a verdict");
  const count = (is: (share: number) => boolean) => won.filter(is).length;
  const [wins, losses, draws] = [
    count((share) => share > 0.5),
    count((share) => share < 0.5),
    count((share) => share === 0.5),
  ];
  return {
    winRate: 100 * mean(won),
    standardError: (100 * standardDeviation(won)) / Math.sqrt(won.length),
    wins,
    losses,
    draws,
    total: won.length,
    discreteWinRate: (100 * (wins + draws / 2)) / won.length,
  };
}
