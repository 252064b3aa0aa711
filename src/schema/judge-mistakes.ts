import { valueAt } from "./issue-words.ts";
import type { Mistake } from "./recipe-issues.ts";

/** Rubrics that show a reference that the judge has not, and references that no rubric shows, in a recipe as written. */
export function judgeMistakes(root: unknown): Mistake[] {
  const rewards = valueAt(root, ["rewards"]);
  return (Array.isArray(rewards) ? rewards : []).flatMap((reward, index): Mistake[] => {
    const rubric = valueAt(reward, ["rubric"]);
    if (typeof rubric !== "string") return [];
    const shown = rubric.includes("{reference}");
    if (shown === (valueAt(reward, ["reference"]) !== undefined)) return [];
    const path = ["rewards", index, "rubric"];
    return shown
      ? [{ path, message: referenceWords.unnamed, hint: referenceWords.name }]
      : [{ path, message: referenceWords.unshown, hint: referenceWords.show }];
  });
}

/** What is wrong between a rubric and its reference, and what to do. */
export const referenceWords = {
  unnamed: "the rubric has {reference}, and the judge has no reference",
  name: "Write `reference: {column: NAME}` beside it, NAME the column of the prompts' rows with the reference answer.",
  unshown: "the rubric lacks {reference}, and the judge has one",
  show: "Write {reference} where the reference answer is to stand, or take `reference` out of the judge.",
} as const;
