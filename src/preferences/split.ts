import { contentKey, DataError, RecipeError } from "../schema/index.ts";

export interface PromptSplit {
  /** Prompts for supervised tuning on y_ws. */
  readonly sft: readonly string[];
  /** Prompts for preference training. */
  readonly wrpo: readonly string[];
}

/**
 * Splits prompts between supervised tuning and WRPO (paper section 4.1: one third and two thirds). The split depends
 * on the ids and the seed alone, not on their order; `sft` has the share rounded to whole prompts. Both lists keep the
 * order of `ids`. A share of 0 gives all to WRPO. Throws RecipeError when one of the two would have no prompts otherwise,
 * DataError for an id that comes twice.
 */
export function splitPrompts(ids: readonly string[], sftShare: number, seed: number): PromptSplit {
  const lots = ids.map((id) => ({ id, lot: contentKey({ split: seed, id }) }));
  lots.sort((a, b) => (a.lot < b.lot ? -1 : a.lot > b.lot ? 1 : 0));
  const sft = new Set(lots.slice(0, Math.round(ids.length * sftShare)).map(({ id }) => id));
  const twice = lots.find(({ lot }, index) => lots[index + 1]?.lot === lot);
  if (twice !== undefined) throw new DataError(`the prompt id ${JSON.stringify(twice.id)} stands twice`);
  if ((sft.size === 0 && sftShare > 0) || sft.size === ids.length) {
    const empty = sft.size === 0 ? "supervised tuning" : "preference training";
    throw new RecipeError(`of ${ids.length} prompts, a share of ${sftShare} leaves none for ${empty}`, {
      field: "selection.sft_share",
      hint:
        ids.length < 2
          ? "Give more prompts, or raise prompts.limit: both parts need one at least."
          : "Give more prompts, or a share nearer to 1/3.",
    });
  }
  return { sft: ids.filter((id) => sft.has(id)), wrpo: ids.filter((id) => !sft.has(id)) };
}
