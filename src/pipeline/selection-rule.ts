import type { SelectionRule } from "../preferences/index.ts";
import { type Prompt, RecipeError, type RewardRecipe, type SelectionRecipe } from "../schema/index.ts";

/** The selection of a recipe as the rule that `preferences` takes. A length penalty that is `fitted` is 0 unless what it came to is given. */
export const selectionRule = (selection: SelectionRecipe, fitted = 0): SelectionRule => ({
  minGap: selection.min_gap,
  ...(selection.max_gap === undefined ? {} : { maxGap: selection.max_gap }),
  unfinished: selection.unfinished,
  sources: {
    ...(selection.sources === undefined ? {} : { names: selection.sources }),
    count: selection.source_responses,
    of: selection.source_responses_of,
    rank: selection.source_rank,
  },
  rejectedFrom: selection.rejected_from,
  nearEqual: selection.near_equal,
  amongEquals: selection.among_equals,
  lengthPenalty: selection.length_penalty === "fitted" ? fitted : selection.length_penalty,
  maxSimilarity: selection.max_similarity,
  ...(selection.across_prompts === undefined
    ? {}
    : {
        acrossPrompts: {
          maxSimilarity: selection.across_prompts.max_similarity,
          atMost: selection.across_prompts.at_most,
        },
      }),
  ...(selection.max_per_domain === undefined ? {} : { maxPerDomain: selection.max_per_domain }),
});

/** Which of the recipe's rewards a part of a reward belongs to, by its name: `judge`, or `armorm:objective`. All others are checks. */
export function componentBy(rewards: readonly RewardRecipe[]): (part: string) => string {
  const names = rewards.map((reward) => ("name" in reward ? reward.name : undefined) ?? reward.kind);
  const separators = [":", "/"];
  return (part) => {
    // What was clipped, and what stands behind a gate, bears the component's whole name.
    const bare = part.replace(/^(?:judge|reward model|endpoint) /, "");
    return names.find((name) => bare === name || separators.some((sign) => bare.startsWith(name + sign))) ?? "checks";
  };
}

/** @throws RecipeError for a quota of a domain that no prompt has */
export function checkQuotas({ max_per_domain: quotas }: SelectionRecipe, prompts: readonly Prompt[]): void {
  if (typeof quotas !== "object") return;
  const domains = new Set(prompts.flatMap(({ domain }) => domain ?? []));
  const unknown = Object.keys(quotas).find((domain) => domain !== "" && !domains.has(domain));
  if (unknown === undefined) return;
  const some = [...domains].sort().slice(0, 20).join(", ");
  throw new RecipeError(`no prompt has the domain ${JSON.stringify(unknown)}`, {
    field: "selection.max_per_domain",
    hint: domains.size === 0 ? "The prompts have no field `domain`." : `The domains are: ${some}.`,
  });
}
