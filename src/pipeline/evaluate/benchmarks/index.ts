import type { BenchmarkRecipe } from "../../../schema/index.ts";
import type { Measure } from "../evaluation.ts";

/** The benchmarks by kind, a file each. */
export const benchmarks: {
  readonly [Kind in BenchmarkRecipe["kind"]]?: Measure<Extract<BenchmarkRecipe, { kind: Kind }>>;
} = {};
