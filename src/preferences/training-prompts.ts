import { contentKey, DataError, type Prompt, type TrainingPromptsRecipe } from "../schema/index.ts";
import { contaminations } from "./contamination.ts";
import { nearDuplicates } from "./near-duplicates.ts";
import type { PlacedPrompt } from "./prompt-sets.ts";
import { stratifiedSample } from "./strata.ts";

/** A prompt that is not trained on, and why. */
export interface LeftOutPromptRow {
  readonly id: string;
  readonly reason: "duplicate" | "near_duplicate" | "contaminated" | "not_sampled";
  /** The prompt that it repeats, is like, or shares words with. */
  readonly of?: string;
  /** Jaccard similarity to it, or the share of its runs of words that an evaluation set knows. */
  readonly share?: number;
}

export interface TrainingPrompts {
  readonly prompts: readonly Prompt[];
  readonly leftOut: readonly LeftOutPromptRow[];
  /** Those that share words with an evaluation set and stay, as the recipe only wants to know. */
  readonly reported: readonly LeftOutPromptRow[];
}

/**
 * Of the prompts of a set, those to train on: without exact and near duplicates, without those that share a run of words
 * with `heldOut`, and of what remains a sample, each as the recipe says. Keeps the order.
 *
 * @throws DataError for an id that stands twice, and for a prompt that does unless duplicates are dropped.
 */
export function trainingPrompts(
  set: readonly PlacedPrompt[],
  heldOut: readonly Prompt[],
  recipe: TrainingPromptsRecipe,
  seed: number,
): TrainingPrompts {
  const leftOut: LeftOutPromptRow[] = [];
  let kept = withoutDuplicates(set, recipe.duplicates, leftOut);
  if (recipe.near_duplicates !== undefined) {
    const near = nearDuplicates(kept.map(textOf), recipe.near_duplicates);
    const id = (at: number) => kept[at]!.id;
    for (const { index, of, similarity } of near)
      leftOut.push({ id: id(index), reason: "near_duplicate", of: id(of), share: rounded(similarity) });
    kept = without(kept, near);
  }
  let reported: LeftOutPromptRow[] = [];
  if (recipe.decontaminate !== undefined) {
    const { ngram, action } = recipe.decontaminate;
    const found = contaminations(kept.map(textOf), heldOut.map(textOf), ngram);
    reported = found.map(({ index, with: other, overlap }) => ({
      id: kept[index]!.id,
      reason: "contaminated",
      of: heldOut[other]!.id,
      share: rounded(overlap),
    }));
    if (action === "drop") {
      leftOut.push(...reported);
      reported = [];
      kept = without(kept, found);
    }
  }
  if (recipe.sample !== undefined) {
    const { size, domains } = recipe.sample;
    const sampled = stratifiedSample(kept, size, domains, seed);
    const ids = new Set(sampled.map(({ id }) => id));
    for (const { id } of kept) if (!ids.has(id)) leftOut.push({ id, reason: "not_sampled" });
    kept = sampled;
  }
  return { prompts: kept, leftOut, reported };
}

/** What the texts of two prompts are compared by: all that the user and the system say. */
const textOf = ({ messages }: Prompt): string =>
  messages
    .filter(({ role }) => role !== "assistant")
    .map(({ content }) => content)
    .join("\n");

const rounded = (share: number): number => Math.round(share * 1000) / 1000;

function without(prompts: readonly Prompt[], found: readonly { readonly index: number }[]): Prompt[] {
  const gone = new Set(found.map(({ index }) => index));
  return prompts.filter((_, index) => !gone.has(index));
}

/**
 * The prompts of a set, each once. Those that stand twice go to `leftOut` with `duplicates: drop`.
 *
 * @throws DataError for an id that stands twice, and for a prompt that does unless duplicates are dropped.
 */
export function withoutDuplicates(
  set: readonly PlacedPrompt[],
  duplicates: TrainingPromptsRecipe["duplicates"],
  leftOut: LeftOutPromptRow[] = [],
): Prompt[] {
  const texts = new Map<string, PlacedPrompt>();
  const ids = new Map<string, PlacedPrompt>();
  const kept: Prompt[] = [];
  for (const placed of set) {
    const { prompt, place } = placed;
    const key = contentKey(prompt.messages.map(({ role, content }) => ({ role, content: content.trim() })));
    const twin = texts.get(key);
    if (twin !== undefined && duplicates === "drop") {
      leftOut.push({ id: prompt.id, reason: "duplicate", of: twin.prompt.id });
      continue;
    }
    const earlier = twin ?? ids.get(prompt.id);
    if (earlier !== undefined)
      throw new DataError(
        `${twin === undefined ? `the id ${JSON.stringify(prompt.id)}` : "the same prompt"} stands in line ${earlier.place.line} of ${earlier.place.file} already`,
        {
          ...place,
          ...(twin === undefined ? { field: "id" } : {}),
          hint: "Take one of the two rows out, or write `prompts.duplicates: drop` where the prompts are the same.",
        },
      );
    texts.set(key, placed);
    ids.set(prompt.id, placed);
    kept.push(prompt);
  }
  return kept;
}
