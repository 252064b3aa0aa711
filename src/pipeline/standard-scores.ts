import { isUsable, type SourceScale, sourceScales } from "../preferences/index.ts";
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
