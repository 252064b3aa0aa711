import type { OptimisationRecipe } from "../schema/index.ts";
import { TrainingError } from "../schema/index.ts";
import { noGrad, ops, scope, type Tensor } from "../torch/index.ts";
import {
  type Checkpointed,
  loadCheckpoint,
  loadStep,
  requireCheckpointRoom,
  saveCheckpoint,
  type TrainingState,
} from "./checkpoints.ts";
import { bestSteps, metricOf } from "./early-stopping.ts";

/** Decides which checkpoints of a training are written and kept. */
export interface CheckpointKeeper {
  /** Loads the latest checkpoint of this training; the state of its beginning where there is none. */
  load(): TrainingState;
  /** Writes a checkpoint, unless that of this step stands. */
  save(state: TrainingState): void;
  /** Writes one where the latest evaluation is among those to be kept. */
  saveIfBest(state: TrainingState): void;
  /** Puts weights and optimiser of the best evaluation in place where early stopping asks for them; returns its step. */
  restoreBest(state: TrainingState): number | undefined;
}

/** Keeps checkpoints in `folder`, as the recipe says; without a folder none. */
export function checkpointKeeper(
  folder: string | undefined,
  what: Omit<Checkpointed, "folder">,
  recipe: Pick<OptimisationRecipe, "keep_last" | "keep_best" | "early_stopping">,
): CheckpointKeeper {
  const beginning: TrainingState = { step: 0, skipped: 0, evaluations: [] };
  if (folder === undefined) return { load: () => beginning, save() {}, saveIfBest() {}, restoreBest: () => undefined };
  const place = { ...what, folder };
  const count = Math.max(recipe.keep_best, recipe.early_stopping === undefined ? 0 : 1);
  const best = (evaluations: TrainingState["evaluations"]) => bestSteps(evaluations, metricOf(recipe), count);
  let saved = 0;
  const save = (state: TrainingState) => {
    if (state.step === saved) return;
    requireFinite(what.weights);
    saveCheckpoint(place, state, recipe.keep_last, best(state.evaluations));
    saved = state.step;
  };
  return {
    save,
    load() {
      const state = loadCheckpoint(place) ?? beginning;
      saved = state.step;
      // Better now than after hours, when the first checkpoint is due.
      requireCheckpointRoom(place);
      return state;
    },
    saveIfBest: (state) => {
      if (best(state.evaluations).includes(state.step)) save(state);
    },
    restoreBest({ step: now, evaluations }) {
      if (recipe.early_stopping === undefined) return undefined;
      const [step] = best(evaluations);
      if (step !== undefined && step !== now) loadStep(place, step);
      return step;
    },
  };
}

/** @throws TrainingError where a weight is not finite: such a checkpoint would take the place of a good one. */
function requireFinite(weights: ReadonlyMap<string, Tensor>): void {
  const bad = noGrad(() => scope(() => [...weights].find(([, weight]) => !ops.isfinite(weight).all().item())?.[0]));
  if (bad !== undefined)
    throw new TrainingError(`the weight ${bad} is not finite any more`, {
      hint: "Lower the learning rate. The last checkpoint from before is kept, and the same command goes on from it.",
    });
}
