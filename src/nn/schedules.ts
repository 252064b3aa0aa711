/** Factor on the peak learning rate at an optimiser step, the first of which is 0. */
export type Schedule = (step: number) => number;

export type DecayShape = "linear" | "cosine" | "1-sqrt";

export type ScheduleName = "constant" | "linear" | "cosine" | "wsd";

export interface ScheduleLength {
  /** Steps over which the factor rises linearly from 0 to 1. */
  readonly warmupSteps: number;
  /** Optimiser steps of the whole training. */
  readonly totalSteps: number;
}

/** How `wsd` ends. */
export interface StableDecay {
  /** Of the last steps; no more than the warm-up leaves. */
  readonly decaySteps: number;
  readonly shape: DecayShape;
}

/** Steps as a share of all steps, rounded up as transformers' Trainer does for its warm-up. */
export const stepsOf = (ratio: number, totalSteps: number): number => Math.ceil(ratio * totalSteps);

/** Factors of a decay by how much of it is done, 0 to 1; `1-sqrt` is that of Hägele et al. 2024 (arXiv 2405.18392). */
const decays: Readonly<Record<DecayShape, (done: number) => number>> = {
  linear: (done) => 1 - done,
  cosine: (done) => 0.5 * (1 + Math.cos(Math.PI * done)),
  "1-sqrt": (done) => 1 - Math.sqrt(done),
};

/**
 * Linear warm-up, then: `constant` at 1; `linear` or half a `cosine` wave down to 0 at the last step; or `wsd`, 1 until the
 * last `decaySteps` and then down to 0 (Hu et al. 2024, MiniCPM). The factors of transformers'
 * `get_{constant,linear,cosine}_schedule_with_warmup` and `get_wsd_schedule`. Past the last step the factor stays where it
 * ended.
 */
export function schedule(name: ScheduleName, length: ScheduleLength, ending?: StableDecay): Schedule {
  const { warmupSteps, totalSteps } = length;
  const whole = totalSteps - warmupSteps;
  const [shape, steps] =
    name === "wsd"
      ? [ending!.shape, Math.min(ending!.decaySteps, whole)]
      : [name === "constant" ? undefined : name, whole];
  return (step) => {
    if (step < warmupSteps) return step / warmupSteps;
    const left = Math.max(0, totalSteps - step);
    return shape === undefined || left > steps ? 1 : decays[shape](1 - left / Math.max(1, steps));
  };
}
