import type { DecoderConfig } from "../models/index.ts";
import type { OptimisationRecipe } from "../schema/index.ts";
import { autoMicroBatchTokens, type Compute, type ResolvedOptimisation } from "../training/index.ts";
import type { Run } from "./run.ts";

export interface MicroBatchQuestion {
  /** Tells the trainings of a ledger apart. */
  readonly training: string;
  readonly recipe: OptimisationRecipe;
  readonly config: DecoderConfig;
  readonly compute: Compute;
  readonly device: string;
  /** Tokens of the longest row. */
  readonly longest: number;
  /** What decides the training. */
  readonly inputs: string;
}

/**
 * The recipe with a number for its tokens a micro-batch. What `auto` comes to is told, and kept in the ledger for this training:
 * one that goes on later, with other memory free, computes the very same figures.
 */
export async function withMicroBatchTokens(
  { ledger, listener }: Pick<Run, "ledger" | "listener">,
  question: MicroBatchQuestion,
): Promise<ResolvedOptimisation> {
  const { training, recipe, inputs } = question;
  if (recipe.micro_batch_tokens !== "auto") return { ...recipe, micro_batch_tokens: recipe.micro_batch_tokens };
  const name = `${training}/micro_batch_tokens`;
  const [of, kept] = ((await ledger.meta.get(name)) ?? "").split(" ");
  if (of === inputs) return { ...recipe, micro_batch_tokens: Number(kept) };
  const { tokens, reason } = autoMicroBatchTokens(question);
  await ledger.meta.set(name, `${inputs} ${tokens}`);
  listener.notice(`micro_batch_tokens: auto is ${tokens} (${reason})`);
  return { ...recipe, micro_batch_tokens: tokens };
}
