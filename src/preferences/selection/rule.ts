import type { Unfinished } from "../candidates.ts";
import type { AcrossPrompts } from "./across-prompts.ts";
import type { Margin } from "./margin.ts";
import type { RankingRule } from "./ranking.ts";
import type { RejectedFrom } from "./rejected.ts";
import type { SourceChoice } from "./sources.ts";

/** What is chosen of a prompt's responses. What is left out is as the paper has it. */
export interface SelectionRule extends Margin, RankingRule {
  /** What becomes of a response that the token limit cut off: it has no end of turn. The paper keeps them all. */
  readonly unfinished: Unfinished;
  /** Which responses of the sources stand for y_ws: the best one of all unless given. */
  readonly sources?: SourceChoice;
  /** Whence y_l is: from the target unless given. */
  readonly rejectedFrom?: RejectedFrom;
  /** Texts of one row that are as similar as this, or more, don't stand together: see `similarity`. Only equal ones unless given. */
  readonly maxSimilarity?: number;
  /** How alike the y_ws of different prompts may be: no matter unless given. */
  readonly acrossPrompts?: AcrossPrompts;
  /** How many prompts of each domain are selected at most. */
  readonly maxPerDomain?: number | Readonly<Record<string, number>>;
}

/** Why a prompt gave nothing to train on, in the order in which the reasons are tried. */
export const leftOutReasons = {
  "no-source-response": "no scored response of any source",
  "no-target-response": "no scored response of the target",
  empty: "every response of the sources, or of the target, is empty",
  unfinished: "every response of the sources, or of the target, was cut off by the token limit or is empty",
  "too-few-source-responses":
    "the sources gave fewer different usable responses than source_responses and source_rank ask for",
  "one-target-response": "the target has a single usable response",
  "one-source-response": "the source of the best response has no other usable one",
  "rewards-equal": "preferred and dispreferred response have the same reward, or one within near_equal",
  "rejected-is-better": "the dispreferred response has the higher reward",
  "gap-below-minimum": "preferred and dispreferred response are closer than min_gap",
  "gap-above-maximum": "preferred and dispreferred response are farther apart than max_gap",
  "texts-identical": "the dispreferred text is, word for word, one of the preferred",
  "texts-alike": "the dispreferred text is as similar to a preferred one as max_similarity, or more",
  "alike-across-prompts": "y_ws is similar to those of other prompts, and across_prompts lets no more of them stay",
  "domain-full": "its domain has max_per_domain prompts without it",
} as const;
export type LeftOut = keyof typeof leftOutReasons;
