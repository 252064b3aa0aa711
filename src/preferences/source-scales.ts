import type { Candidate, PromptCandidates } from "./candidates.ts";

/** How the rewards of one source's responses lie. */
export interface SourceScale {
  readonly source: string;
  readonly mean: number;
  /** Standard deviation of all of them; 0 where all are equal. */
  readonly deviation: number;
}

type Valued = Pick<Candidate, "source" | "value">;

/**
 * Mean and standard deviation of each source's rewards, the sources by name. They are the same whatever the order in which
 * the responses come, to the last bit.
 */
export async function sourceScales(responses: AsyncIterable<Valued> | Iterable<Valued>): Promise<SourceScale[]> {
  const values = new Map<string, number[]>();
  for await (const { source, value } of responses) {
    const known = values.get(source);
    if (known === undefined) values.set(source, [value]);
    else known.push(value);
  }
  return [...values]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([source, unsorted]) => {
      const sorted = Float64Array.from(unsorted).sort();
      const mean = meanOf(sorted);
      const isConstant = sorted[0] === sorted.at(-1);
      return {
        source,
        mean,
        deviation: isConstant ? 0 : Math.sqrt(meanOf(sorted.map((value) => (value - mean) ** 2))),
      };
    });
}

const meanOf = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * The candidates with their standard scores for values: how many standard deviations each lies above the mean of its source;
 * 0 where all rewards of a source are equal. Throws for a source without a scale.
 */
export function withStandardScores(
  { sources, target, ...prompt }: PromptCandidates,
  scales: { readonly sources: readonly SourceScale[]; readonly target: readonly SourceScale[] },
): PromptCandidates {
  const by = (known: readonly SourceScale[]) => (candidate: Candidate) => {
    const scale = known.find(({ source }) => source === candidate.source);
    if (scale === undefined) throw new Error(`the source ${candidate.source} has no scale`);
    const { mean, deviation } = scale;
    return { ...candidate, value: deviation === 0 ? 0 : (candidate.value - mean) / deviation };
  };
  return { ...prompt, sources: sources.map(by(scales.sources)), target: target.map(by(scales.target)) };
}
