import type { BenchmarkRecipe } from "../../../schema/index.ts";
import type { Measure } from "../evaluation.ts";
import { alpacaEval } from "./alpaca-eval/index.ts";
import { arenaHard } from "./arena-hard/index.ts";
import { mtBench } from "./mt-bench/index.ts";
import { measureTask } from "./task.ts";

/** The benchmarks by kind. */
export const benchmarks: {
  readonly [Kind in BenchmarkRecipe["kind"]]: Measure<Extract<BenchmarkRecipe, { kind: Kind }>>;
} = { alpaca_eval: alpacaEval, arena_hard: arenaHard, mt_bench: mtBench, task: measureTask };
