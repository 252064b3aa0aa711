import type { Prompt, ScorePart } from "../../schema/index.ts";
import { looseVariants } from "./loose.ts";
import { instructionOf } from "./validate.ts";

/**
 * One part for each check of the prompt: 1 where the text follows it, else 0, all with equal weights of sum 1. A check
 * whose id the prompt has already is named `id#2`, `id#3`. A prompt without checks has no parts. Throws a DataError
 * where a check is not one that `validateChecks` accepts.
 */
export function scoreChecks(prompt: Prompt, text: string): ScorePart[] {
  return scoreBy(prompt, [text]);
}

/** As `scoreChecks`, by the loose criterion: one of `looseVariants(text)` suffices for each check. */
export function scoreChecksLoosely(prompt: Prompt, text: string): ScorePart[] {
  return scoreBy(prompt, looseVariants(text));
}

function scoreBy(prompt: Prompt, variants: readonly string[]): ScorePart[] {
  const seen = new Map<string, number>();
  return prompt.checks.map((check, index) => {
    const instruction = instructionOf(check, { field: `prompt ${prompt.id}, checks.${index}` });
    const repeat = (seen.get(check.id) ?? 0) + 1;
    seen.set(check.id, repeat);
    return {
      name: repeat === 1 ? check.id : `${check.id}#${repeat}`,
      value: variants.reduce(
        (best, variant) => (best === 1 ? 1 : Math.max(best, instruction.rate(variant, check.args))),
        0,
      ),
      weight: 1 / prompt.checks.length,
    };
  });
}
