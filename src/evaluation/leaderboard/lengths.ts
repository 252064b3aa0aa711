import type { Lengths } from "./schema.ts";
import type { BenchmarkResult, Measured } from "./table.ts";

/** A text's length in code points. */
export function lengthOf(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** How long each model's answers are that were judged; nothing where nobody judges, or no model's are known. */
export function lengthsOf({ judge, models }: Pick<BenchmarkResult, "judge" | "models">): Lengths[] {
  if (judge === null) return [];
  const lines = models.map(ofModel);
  return lines.some(({ mean, answers }) => mean !== null || answers > 0) ? lines : [];
}

function ofModel({ model, length, items }: Measured): Lengths {
  const lengths = items.flatMap(({ answer }) => (answer === undefined ? [] : [lengthOf(answer)])).sort((a, b) => a - b);
  const middle = lengths.length >> 1;
  const median = lengths.length % 2 === 1 ? lengths[middle]! : (lengths[middle - 1]! + lengths[middle]!) / 2;
  const known = lengths.length > 0;
  return {
    model,
    mean: length ?? null,
    answers: lengths.length,
    median: known ? median : null,
    shortest: known ? lengths[0]! : null,
    longest: known ? lengths.at(-1)! : null,
  };
}
