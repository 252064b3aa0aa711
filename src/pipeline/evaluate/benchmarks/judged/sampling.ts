import type { BenchmarkRecipeOf, Sampling } from "../../../../schema/index.ts";

type Overrides = BenchmarkRecipeOf<"arena_hard">["sampling"];

/** How answers are drawn: what the benchmark says, and what the recipe says of it. */
export function samplingOf(
  seed: number,
  own: Pick<Sampling, "temperature" | "max_tokens">,
  overrides: Overrides,
): Sampling {
  const given = Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
  return { top_p: 1, top_k: 0, stop: [], seed, ...own, ...(given as Partial<Sampling>) };
}
