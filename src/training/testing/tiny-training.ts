import type { LoadedModel } from "../../models/index.ts";
import { tinyModel } from "../../models/testing/tiny-model.ts";
import { wrpo } from "../../objectives/index.ts";
import { toNumbers } from "../../torch/index.ts";
import type { StepMetrics } from "../metrics.ts";
import { preferenceTask } from "../preference.ts";
import { type ResolvedOptimisation, type TrainingOptions, train } from "../train.ts";
import { tinyRecipe, tinyRows } from "./tiny-rows.ts";

const objective = wrpo({ beta: 0.1, alpha: 0.3, alphaSchedule: "linear", labelSmoothing: 0 });

/** Options of a training of a tiny model by WRPO, in five steps unless the recipe says otherwise. */
export const tinyOptions = (recipe: Partial<ResolvedOptimisation> = {}): TrainingOptions => ({
  recipe: tinyRecipe(recipe),
  seed: 3,
  dtype: "float32",
  inputs: "tiny",
});

export interface Trained {
  readonly weights: Map<string, number[]>;
  readonly steps: StepMetrics[];
  readonly finished: boolean;
}

/** The values of a model's weights. */
export const weightsOf = ({ decoder }: LoadedModel): Map<string, number[]> =>
  new Map([...decoder.parameters].map(([name, weight]) => [name, toNumbers(weight)]));

/** Trains a fresh tiny model, or the one given, on seven rows. */
export async function tinyTraining(given: TrainingOptions, start?: LoadedModel): Promise<Trained> {
  const model = start ?? (await tinyModel("llama"));
  const steps: StepMetrics[] = [];
  const { finished } = await train(model.decoder, preferenceTask(tinyRows(7), objective), {
    ...given,
    onStep: (metrics, total) => {
      steps.push(metrics);
      given.onStep?.(metrics, total);
    },
  });
  return { weights: weightsOf(model), steps, finished };
}
