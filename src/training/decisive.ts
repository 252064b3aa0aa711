import type { OptimisationRecipe, SftRecipe } from "../schema/index.ts";

/**
 * What of a recipe decides the trained weights: not whether there is a training, where checkpoints fall and how many are kept,
 * nor what only bounds the memory, nor an evaluation that nothing depends on. The compute type is not among it: `precision`
 * may leave it open.
 */
export function decisiveFields(recipe: OptimisationRecipe & Partial<Pick<SftRecipe, "enabled">>): unknown {
  const {
    enabled: ________,
    checkpoint_every_steps: _,
    micro_batch_tokens: __,
    activation_checkpointing: ___,
    precision: ____,
    keep_last: _____,
    keep_best: ______,
    max_skipped_steps: _______,
    held_out_share,
    evaluate_every_steps,
    evaluation_samples,
    early_stopping,
    ...rest
  } = recipe;
  return {
    ...rest,
    ...(held_out_share > 0 ? { held_out_share } : {}),
    ...(early_stopping === undefined ? {} : { early_stopping, evaluate_every_steps, evaluation_samples }),
  };
}
