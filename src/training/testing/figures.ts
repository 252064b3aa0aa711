import type { StepMetrics } from "../metrics.ts";

const costs = /^(seconds|seconds_left|tokens_per_second|gemm_share|memory_bytes|peak_memory_bytes)$/;

/** What a step's figures are, apart from what it cost: two trainings alike have the very same. */
export const figures = (metrics: StepMetrics): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics).filter(([name]) => !costs.test(name)));
