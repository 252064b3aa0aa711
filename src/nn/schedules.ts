export type ScheduleKind = "constant" | "linear" | "cosine";

export interface Schedule {
  readonly kind: ScheduleKind;
  readonly steps: number;
  readonly warmupSteps: number;
}

/** Steps of a warm-up given as a share of all steps, rounded up as in transformers. */
export const warmupSteps = (steps: number, ratio: number): number => Math.ceil(steps * ratio);

/**
 * Factor of the learning rate at optimiser step `step`, counted from 0: rises linearly from 0 over the warm-up, then
 * stays (constant), falls linearly to 0 (linear) or along half a cosine (cosine).
 */
export function scheduleFactor({ kind, steps, warmupSteps: warmup }: Schedule, step: number): number {
  if (step < warmup) return step / Math.max(1, warmup);
  if (kind === "constant") return 1;
  const done = (step - warmup) / Math.max(1, steps - warmup);
  return kind === "linear" ? Math.max(0, 1 - done) : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * done)));
}
