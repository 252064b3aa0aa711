import type { Prompt, ScorePart } from "../../schema/index.ts";
import { codeTestsId } from "../code/tests.ts";
import { looseVariants } from "./loose.ts";
import { instructionOf } from "./validate.ts";

/**
 * One part for each check of the prompt: how far the text follows it, 0..1, all with equal weights of sum 1. A check
 * whose id the prompt has already is named `id#2`, `id#3`. With `reward`, those that this reward of the recipe has for
 * every prompt (`reward/id`), without it the prompt's own. A prompt without such checks has no parts. Tests for code are none of
 * these checks: they are run by a reward of their own. Throws a DataError
 * where a check is not one that `validateChecks` accepts, and where it can't be told whether the text follows it.
 */
export function scoreChecks(prompt: Prompt, text: string, reward?: string): ScorePart[] {
  return scoreBy(prompt, [text], reward);
}

/** As `scoreChecks`, by the loose criterion: one of `looseVariants(text)` suffices for each check. */
export function scoreChecksLoosely(prompt: Prompt, text: string): ScorePart[] {
  return scoreBy(prompt, looseVariants(text));
}

function scoreBy(prompt: Prompt, variants: readonly string[], reward?: string): ScorePart[] {
  const seen = new Map<string, number>();
  const prefix = reward === undefined ? "" : `${reward}/`;
  const checks = prompt.checks.filter(({ id }) =>
    reward === undefined ? !id.includes("/") && id !== codeTestsId : id.startsWith(prefix),
  );
  return checks.map(({ id, args }, index) => {
    const check = { id: id.slice(prefix.length), args };
    const instruction = instructionOf(check, { field: `prompt ${prompt.id}, checks.${index}` });
    const repeat = (seen.get(id) ?? 0) + 1;
    seen.set(id, repeat);
    return {
      name: repeat === 1 ? id : `${id}#${repeat}`,
      value: best(variants, (variant) => instruction.rate(variant, args)),
      weight: 1 / checks.length,
    };
  });
}

function best(variants: readonly string[], rate: (variant: string) => number): number {
  let highest = 0;
  for (const variant of variants) {
    highest = Math.max(highest, rate(variant));
    if (highest === 1) break;
  }
  return highest;
}
