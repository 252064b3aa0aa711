import type { BenchmarkRecipeOf } from "../../../schema/index.ts";
import { benchmarkSchema } from "../../../schema/suite.ts";

type Kind = BenchmarkRecipeOf<"arena_hard">["kind"] | "mt_bench";

/** A benchmark of a suite, its defaults filled in. */
export const benchmarkRecipe = <K extends Kind>(fields: { readonly kind: K; readonly [field: string]: unknown }) =>
  benchmarkSchema.parse(fields) as BenchmarkRecipeOf<K>;
