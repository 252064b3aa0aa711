import type { LoadedModel } from "../models/index.ts";
import type { OptimisationRecipe } from "../schema/index.ts";
import { autoMicroBatchTokens, type ResolvedOptimisation } from "../training/index.ts";
import type { Run } from "./run.ts";

export interface MicroBatchQuestion {
  readonly stage: "sft" | "wrpo";
  readonly recipe: OptimisationRecipe;
  readonly model: LoadedModel;
  readonly compute: "fp32" | "bf16";
  /** Tokens of the longest row. */
  readonly longest: number;
  /** What decides the training. */
  readonly inputs: string;
}

/**
 * The recipe with a number for its tokens a micro-batch. What `auto` comes to is told, and kept in the ledger for this training:
 * one that goes on later, with other memory free, computes the very same figures.
 */
export async function withMicroBatchTokens(run: Run, question: MicroBatchQuestion): Promise<ResolvedOptimisation> {
  const { stage, recipe, model, compute, longest, inputs } = question;
  if (recipe.micro_batch_tokens !== "auto") return { ...recipe, micro_batch_tokens: recipe.micro_batch_tokens };
  const name = `${stage}/micro_batch_tokens`;
  const [of, kept] = ((await run.ledger.meta.get(name)) ?? "").split(" ");
  if (of === inputs) return { ...recipe, micro_batch_tokens: Number(kept) };
  const { tokens, reason } = autoMicroBatchTokens({
    config: model.decoder.config,
    compute,
    recipe,
    device: run.recipe.target.device,
    longest,
  });
  await run.ledger.meta.set(name, `${inputs} ${tokens}`);
  run.listener.notice(`micro_batch_tokens: auto is ${tokens} (${reason})`);
  return { ...recipe, micro_batch_tokens: tokens };
}
