import { mean } from "../mean.ts";
import { numpyRandom } from "../random/numpy-random.ts";
import { quantile } from "../resampling.ts";
import type { Outcome } from "./battles.ts";

/** Beyond these a fit without penalty ends in arena-hard-auto: its gradient is below 1e-8. */
const surest = 1e-9;

/** Elo's points of a model that wins so often over a baseline of 1000 points. */
export function arenaElo(winRate: number): number {
  const share = Math.min(1 - surest, Math.max(surest, winRate));
  return 1000 + 400 * Math.log10(share / (1 - share));
}

/** How often a model of so many points wins over a baseline of 1000. */
export const winRateOfElo = (elo: number): number => 1 / (1 + 10 ** ((1000 - elo) / 400));

/**
 * The share of its battles that a model won over the baseline, a tie as half. It is what the fit of Bradley and Terry comes to, since every
 * battle is with the baseline; null for no battles.
 */
export const arenaWinRate = (outcomes: readonly Outcome[]): number | null =>
  outcomes.length === 0 ? null : mean(outcomes);

/** One battle of the list that is resampled, in the order of the judgements. */
export interface Battle {
  /** The number of the model. */
  readonly model: number;
  readonly outcome: Outcome;
}

/** arena-hard-auto seeds numpy's random numbers so. */
export const arenaSeed = 42;

/**
 * The win rates of all models in each of `rounds` resamples of the battles, with replacement: by [model][round], NaN where a resample has
 * no battle of a model. The draws are those of arena-hard-auto v0.1 (pandas' `sample` on numpy's generator of seed 42), which resamples the battles of all
 * models that it has judgements of together.
 */
export function resampledWinRates(battles: readonly Battle[], models: number, rounds: number): Float64Array[] {
  const draw = numpyRandom(arenaSeed);
  const rates = Array.from({ length: models }, () => new Float64Array(rounds));
  for (let round = 0; round < rounds; round += 1) {
    const won = new Float64Array(models);
    const fought = new Float64Array(models);
    for (let drawn = 0; drawn < battles.length; drawn += 1) {
      const { model, outcome } = battles[draw(battles.length)]!;
      won[model]! += outcome;
      fought[model]! += 1;
    }
    for (const [model, rate] of rates.entries()) rate[round] = won[model]! / fought[model]!;
  }
  return rates;
}

/** The interval that arena-hard-auto v0.1 gives: percentiles of the resampled points of Elo, as win rates. Undefined for none. */
export function arenaInterval(rates: Float64Array, level = 0.95): readonly [number, number] | undefined {
  const elos = rates
    .filter((rate) => !Number.isNaN(rate))
    .map(arenaElo)
    .sort();
  if (elos.length === 0) return undefined;
  return [winRateOfElo(quantile(elos, (1 - level) / 2)), winRateOfElo(quantile(elos, (1 + level) / 2))];
}
