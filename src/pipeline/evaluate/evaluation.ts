import type { BenchmarkResult, Task } from "../../evaluation/index.ts";
import type { ModelFiles } from "../../models/index.ts";
import type { BenchmarkRecipe, EndpointRecipe, ModelRecipe } from "../../schema/index.ts";
import type { Ledger } from "../../store/index.ts";
import type { Listener } from "../events.ts";
import type { LazySource } from "../lazy-source.ts";
import type { SpendingAccount } from "../spending.ts";

/** An evaluation under way: what its benchmarks share. */
export interface Evaluation {
  readonly folder: string;
  readonly seed: number;
  /** Of every interval and test. */
  readonly bootstrap: number;
  readonly ledger: Ledger;
  readonly listener: Listener;
  readonly signal: AbortSignal;
  readonly account: SpendingAccount | undefined;
  /** Tasks of the caller's own, which a suite may name. */
  readonly tasks?: readonly Task[] | undefined;
}

/** Who answers: a model on this machine, or a server. */
export interface Answering {
  /** Stands beside every figure. */
  readonly name: string;
  readonly source: LazySource;
  /** Where it is on this machine: for what is more than sampling. */
  readonly embedded?: { readonly files: ModelFiles; readonly recipe: ModelRecipe };
  readonly endpoint?: EndpointRecipe;
}

/** A model that is evaluated; without `answering`, by answers that are there already. */
export interface Contestant {
  readonly name: string;
  readonly answering?: Answering;
  /** Files of answers, by the benchmark's name. */
  readonly outputs: Readonly<Record<string, string>>;
}

/** Measures all models by one benchmark. What was answered and judged before is not asked for again. */
export type Measure<Recipe extends BenchmarkRecipe> = (
  evaluation: Evaluation,
  recipe: Recipe,
  contestants: readonly Contestant[],
  judge: Answering | undefined,
) => Promise<BenchmarkResult>;
