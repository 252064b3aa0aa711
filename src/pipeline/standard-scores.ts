import {
  isUsable,
  type PromptCandidates,
  type SourceScale,
  sourceScales,
  type Voting,
  withStandardScores,
  withVotes,
} from "../preferences/index.ts";
import type { Recipe } from "../schema/index.ts";
import { namedRewards, rewardValues } from "./reward-values.ts";
import type { Run } from "./run.ts";

/** What the rewards are measured by: those of all responses of each source, whatever the split. */
export interface Scales {
  readonly sources: readonly SourceScale[];
  readonly target: readonly SourceScale[];
}

/** The scales of a recipe that compares standard scores; undefined where rewards count as they are. */
export async function scalesOf(
  { recipe, ledger }: Run,
  reward: string,
  withTarget: boolean,
): Promise<Scales | undefined> {
  if (recipe.selection.normalise === "none") return undefined;
  async function* valued(label: "sources" | "target") {
    for await (const { responses } of ledger.scores.byPrompt(label, reward))
      yield* responses.filter((response) => isUsable(response, recipe.selection.unfinished));
  }
  return {
    sources: await sourceScales(valued("sources")),
    target: withTarget ? await sourceScales(valued("target")) : [],
  };
}

/** The scales of all whose responses were compared. */
export const scalesShown = (scales: Scales | undefined): SourceScale[] =>
  scales === undefined ? [] : [...scales.sources, ...scales.target];

/** The votes of a recipe whose rewards vote. */
function votingOf({ rewards, selection }: Recipe): Voting {
  const gates = new Set(namedRewards(rewards).flatMap(({ name, isGate }) => (isGate ? [name] : [])));
  return {
    valuesOf: (parts) => rewardValues(rewards, parts),
    isShut: (parts) => gates.size > 0 && parts.some(({ name, weight }) => weight > 0 && name.endsWith(":closed")),
    weights: new Map(
      namedRewards(rewards).flatMap(({ name, isGate, weight }) => (isGate ? [] : [[name, weight] as const])),
    ),
    unfinished: selection.unfinished,
  };
}

/** What makes the rewards of a prompt's responses what a recipe compares: themselves, standard scores or votes. */
export function comparedValues(
  recipe: Recipe,
  scales: Scales | undefined,
): (prompt: PromptCandidates) => PromptCandidates {
  if (scales !== undefined) return (prompt) => withStandardScores(prompt, scales);
  if (recipe.selection.combine === "mean") return (prompt) => prompt;
  const voting = votingOf(recipe);
  return (prompt) => withVotes(prompt, voting);
}
