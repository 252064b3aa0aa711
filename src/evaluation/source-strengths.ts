import { eloPoints, fitBradleyTerry } from "./bradley-terry.ts";
import { type Interval, quantile, type Resampling, resampledCounts } from "./resampling.ts";
import { isTie } from "./statistics.ts";

/** How strong one source is among those that answered the same prompts. */
export interface SourceStrength {
  readonly source: string;
  /** On Elo's scale, on which 400 points are odds of 10 to 1, the mean of the sources at 1000; null for one that was compared with nobody. */
  readonly elo: number | null;
  /** By a bootstrap over prompts. */
  readonly interval: Interval | null;
  /** Comparisons with another source on one prompt. */
  readonly wins: number;
  readonly ties: number;
  readonly losses: number;
}

export interface SourceStrengths {
  /** The strongest first; those that were not compared last. */
  readonly sources: readonly SourceStrength[];
  /** Prompts on which two sources or more were compared. */
  readonly prompts: number;
  /** Whether no finite strength is the likeliest, so that each source has a tied game more: see `fitBradleyTerry`. */
  readonly bounded: boolean;
}

/** Prompts are drawn again in so many groups at most, each put into its own by lot: more would change the intervals by a few per cent. */
const mostGroups = 1000;

/**
 * Counts comparisons of sources prompt by prompt, and fits their strengths by Bradley and Terry's model: on each prompt the source with
 * the higher mean reward over its responses beats the other, equal ones tie, half a win each. The order in which the prompts come does not matter.
 */
export function sourceStrengths(names: readonly string[]) {
  const places = new Map(names.map((name, at) => [name, at]));
  const size = names.length;
  const groups = new Map<number, Float64Array>();
  const ties = new Float64Array(size * size);
  let prompts = 0;

  return {
    add(promptId: string, responses: readonly { readonly source: string; readonly value: number }[]): void {
      const sums = new Float64Array(size);
      const counts = new Uint32Array(size);
      for (const { source, value } of responses) {
        const place = places.get(source);
        if (place === undefined) continue;
        sums[place]! += value;
        counts[place]! += 1;
      }
      const answered = counts.reduce((found, count) => found + Math.min(count, 1), 0);
      if (answered < 2) return;
      prompts += 1;
      const group = lotOf(promptId) % mostGroups;
      const wins = groups.get(group) ?? new Float64Array(size * size);
      groups.set(group, wins);
      for (let i = 1; i < size; i += 1) {
        if (counts[i] === 0) continue;
        const a = sums[i]! / counts[i]!;
        for (let j = 0; j < i; j += 1) {
          if (counts[j] === 0) continue;
          const b = sums[j]! / counts[j]!;
          const tied = isTie(a, b);
          const won = tied ? 0.5 : a > b ? 1 : 0;
          wins[i * size + j]! += won;
          wins[j * size + i]! += 1 - won;
          if (tied) for (const cell of [i * size + j, j * size + i]) ties[cell]! += 1;
        }
      }
    },

    result(resampling: Resampling): SourceStrengths {
      const tables = [...groups].sort(([a], [b]) => a - b).map(([, table]) => table);
      const wins = summed(tables, size, () => 1);
      const { strengths, bounded } = fitBradleyTerry(wins);
      const drawn = resampledStrengths(tables, size, resampling);
      const sources = names.map((source, i): SourceStrength => {
        const strength = strengths[i]!;
        const tied = ties.subarray(i * size, (i + 1) * size).reduce((sum, count) => sum + count, 0);
        const won = wins[i]!.reduce((sum, count) => sum + count, 0) - tied / 2;
        const lost = wins.reduce((sum, row) => sum + row[i]!, 0) - tied / 2;
        return {
          source,
          elo: strength === null ? null : onElo(strength),
          interval: strength === null ? null : intervalOf(drawn[i]!),
          ...{ wins: won, ties: tied, losses: lost },
        };
      });
      const order = (a: SourceStrength, b: SourceStrength) =>
        (b.elo ?? Number.NEGATIVE_INFINITY) - (a.elo ?? Number.NEGATIVE_INFINITY) || (a.source < b.source ? -1 : 1);
      return { sources: sources.sort(order), prompts, bounded };
    },
  };
}

/** A number that hangs on the id alone: FNV-1a, and a last mixing of its bits. */
function lotOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at += 1) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function summed(tables: readonly Float64Array[], size: number, countOf: (table: number) => number): number[][] {
  const sum = new Float64Array(size * size);
  for (const [at, table] of tables.entries()) {
    const count = countOf(at);
    if (count > 0) for (let cell = 0; cell < sum.length; cell += 1) sum[cell]! += count * table[cell]!;
  }
  return Array.from({ length: size }, (_, i) => [...sum.subarray(i * size, (i + 1) * size)]);
}

const onElo = (strength: number): number => 1000 + eloPoints * strength;

/** The strengths in each resample, by source. */
function resampledStrengths(
  tables: readonly Float64Array[],
  size: number,
  { resamples, seed }: Resampling,
): number[][] {
  const drawn = Array.from({ length: size }, (): number[] => []);
  if (tables.length === 0) return drawn;
  for (let resample = 0; resample < resamples; resample += 1) {
    const counts = resampledCounts(tables.length, resample, seed);
    const { strengths } = fitBradleyTerry(summed(tables, size, (at) => counts[at]!));
    for (const [i, strength] of strengths.entries()) if (strength !== null) drawn[i]!.push(onElo(strength));
  }
  return drawn;
}

function intervalOf(values: readonly number[]): Interval | null {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  return { low: quantile(sorted, 0.025), high: quantile(sorted, 0.975), level: 0.95 };
}
