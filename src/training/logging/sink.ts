import type { StepMetrics } from "../metrics.ts";

/** Where metrics go beside their JSONL file. It is opened by its first step: what it has of that step and later ones is void. */
export interface MetricsSink {
  write(metrics: StepMetrics): void;
  /** `finished` where the training came to its end. */
  close(finished: boolean): void;
}

/** Figures that are plotted: all but the step, which is the axis. */
export const plotted = ({ step: _, ...figures }: StepMetrics): [name: string, value: number][] =>
  Object.entries(figures);
