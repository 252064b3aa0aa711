import { z } from "zod";

const most = z.int().min(0);

/** What of the scored responses is learnt from. */
export const selectionSchema = z.strictObject({
  /** Share of the training prompts whose y_ws goes to supervised tuning; the rest goes to WRPO. 0 only without that tuning. */
  sft_share: z
    .number()
    .min(0)
    .lt(1)
    .default(1 / 3),
  /** What a prompt gives to preference training: (y_ws, y_wt, y_l), or (y_ws, y_l) for an objective on pairs. */
  rows: z.enum(["quadruples", "pairs"]).default("quadruples"),
  /** Names of the sources that take part; all unless given. */
  sources: z.array(z.string().min(1)).min(1).optional(),
  /** The place of y_ws among the responses of the sources, the best first. */
  source_rank: z.int().min(1).max(16).default(1),
  /** How many responses of the sources stand for y_ws; the paper has one. */
  source_responses: z.int().min(1).max(16).default(1),
  /** Whose: the best of each of the best sources, or the best of all responses. */
  source_responses_of: z.enum(["different_sources", "any_source"]).default("different_sources"),
  /** Whence y_l is: the target, the source of y_ws, or all sources. */
  rejected_from: z.enum(["target", "same_source", "sources"]).default("target"),
  /** What several rewards come to: their weighted mean, or the share of their votes against the other responses to the prompt. */
  combine: z.enum(["mean", "vote"]).default("mean"),
  /** What is compared: the rewards themselves, or how many standard deviations each lies above its source's mean. */
  normalise: z.enum(["none", "per_source"]).default("none"),
  /** Least and greatest reward gap between the preferred response and y_l; equal rewards are always left out. */
  min_gap: z.number().min(0).default(0),
  max_gap: z.number().gt(0).optional(),
  /** Rewards that differ by this much at most count as equal. */
  near_equal: z.number().min(0).default(0),
  /** Who is chosen among equals. */
  among_equals: z.enum(["lot", "shortest", "like_length"]).default("lot"),
  /** What a thousand characters of a response cost of its reward: so much, or what they add to it by the fit over all scored responses. */
  length_penalty: z.union([z.number().min(0), z.literal("fitted")]).default(0),
  /** Texts of a row that are as similar as this, or more, don't stand together. */
  max_similarity: z.number().gt(0).max(1).default(1),
  /** Of texts of y_ws that are as similar as this from prompt to prompt, so many stay. */
  across_prompts: z
    .strictObject({
      max_similarity: z.number().gt(0).max(1),
      at_most: z.int().min(1).default(1),
    })
    .optional(),
  /** How many prompts of each domain are selected for each of the two trainings at most: one number, or one by domain. */
  max_per_domain: z.union([most, z.record(z.string(), most)]).optional(),
  /** What becomes of responses that the token limit cut off; the paper keeps them. */
  unfinished: z.enum(["keep", "drop"]).default("keep"),
});
export type SelectionRecipe = z.infer<typeof selectionSchema>;

/** Whether the selection looks at responses of the target. */
export const looksAtTarget = ({ rows, rejected_from }: Pick<SelectionRecipe, "rows" | "rejected_from">): boolean =>
  rows === "quadruples" || rejected_from === "target";
