import type { ModelFiles, PairRankerFiles, RewardModelFiles } from "../../models/index.ts";
import { type RewardModelRecipe, readsLabels } from "../../rewards/index.ts";
import type { ModelRecipe } from "../../schema/index.ts";

/** A model that a recipe names, for whatever. */
export type NamedModel = Pick<ModelRecipe, "model" | "chat_template" | "adapter"> & {
  readonly kind?: string;
  readonly steps?: RewardModelRecipe["steps"];
};

/** What is read of a reward model, or of one that compares. */
export type JudgingFiles = RewardModelFiles | PairRankerFiles;

export const isJudging = (files: ModelFiles | JudgingFiles): files is JudgingFiles =>
  "ranker" in files || ("head" in files && files.head !== undefined);

/** A reward model is one with a head of its own. */
export const hasHead = (named: NamedModel): boolean => named.kind === "model" && !readsLabels(named);

/** The same for entries of a recipe that are one model, read in one way. */
export const modelKey = (named: NamedModel): string =>
  JSON.stringify([named.model, named.chat_template, named.adapter, hasHead(named)]);
