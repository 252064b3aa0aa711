import { z } from "zod";

const microBatchForm = "must be a number of tokens of 16 or more, or `auto`";

/** Tokens a micro-batch: bounds the memory, never the result. `auto`: as many as the free memory holds. */
export const microBatchTokens = z.union([z.literal("auto"), z.int(microBatchForm).min(16)]);

/** The fields by which a training is watched, and ended where that is better. */
export const watchingFields = {
  /** Checkpoints that are kept: the latest so many, and so many of the best by evaluation. */
  keep_last: z.int().min(1).default(1),
  keep_best: z.int().min(0).default(0),
  /** A step whose loss or gradient is not finite changes nothing; so many in a row end the training. */
  max_skipped_steps: z.int().min(1).default(3),
  /** Share of the training rows that is held out, and evaluated on every so many steps and at the end. */
  held_out_share: z.number().min(0).max(0.5).default(0),
  evaluate_every_steps: z.int().min(1).default(50),
  /** Responses that the model draws to each prompt held out at an evaluation, to be scored; 0 draws none. */
  evaluation_samples: z.int().min(0).default(0),
  /** Ends the training where `patience` evaluations in a row were not better by `min_delta`, at the best checkpoint. */
  early_stopping: z
    .strictObject({
      /** `loss`, of which less is better, or another figure of the evaluation, of which more is better. */
      metric: z.string().min(1).default("loss"),
      patience: z.int().min(1).default(3),
      min_delta: z.number().min(0).default(0),
    })
    .optional(),
};

type Watching = Readonly<z.infer<z.ZodObject<typeof watchingFields>>>;

/** Refuses what needs rows that are held out where none are. */
export function refuseBlind(given: Watching, context: z.core.$RefinementCtx): void {
  if (given.held_out_share > 0) return;
  for (const field of ["early_stopping", "keep_best", "evaluation_samples"] as const)
    if (given[field])
      context.addIssue({
        code: "custom",
        path: [field],
        message:
          "it goes by an evaluation, and no rows are held out for one: set held_out_share, to 0.05 as an example",
      });
}
