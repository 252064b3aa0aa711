/** Factor on the peak learning rate at an optimiser step, the first of which is 0. */
export type Schedule = (step: number) => number;

export type ScheduleName = "constant" | "linear" | "cosine";

export interface ScheduleLength {
  /** Steps over which the factor rises linearly from 0 to 1. */
  readonly warmupSteps: number;
  /** Optimiser steps of the whole training. */
  readonly totalSteps: number;
}

/** Warm-up steps as a share of all steps, rounded up as transformers' Trainer does. */
export const warmupStepsOf = (ratio: number, totalSteps: number): number => Math.ceil(ratio * totalSteps);

/** Factors after warm-up, by the steps that are left and the steps that the decay takes in all. */
const decays: Record<ScheduleName, (left: number, all: number) => number> = {
  constant: () => 1,
  linear: (left, all) => left / all,
  cosine: (left, all) => 0.5 * (1 + Math.cos(Math.PI * (1 - left / all))),
};

/**
 * Linear warm-up, then `constant` at 1, or `linear` or half a `cosine` wave down to 0 at the last step: the factors of
 * transformers' `get_{constant,linear,cosine}_schedule_with_warmup`. Past the last step the factor stays where it ended.
 */
export function schedule(name: ScheduleName, { warmupSteps, totalSteps }: ScheduleLength): Schedule {
  const decay = decays[name];
  return (step) => {
    if (step < warmupSteps) return step / warmupSteps;
    return decay(Math.max(0, totalSteps - step), Math.max(1, totalSteps - warmupSteps));
  };
}
