import {
  isUsable,
  type LengthEffect,
  lengthEffectFit,
  type PromptCandidates,
  type SourceScale,
  sourceScales,
  type Voting,
  withStandardScores,
  withVotes,
} from "../preferences/index.ts";
import { type Recipe, TrainingError } from "../schema/index.ts";
import { namedRewards, rewardValues } from "./reward-values.ts";
import type { Run } from "./run.ts";

/** What the rewards are measured by: that of all responses, whatever the split. */
export interface Measures {
  /** Of a recipe that compares standard scores. */
  readonly scales?: { readonly sources: readonly SourceScale[]; readonly target: readonly SourceScale[] };
  /** Of a recipe whose rewards vote. */
  readonly voting?: Voting;
  /** Of a recipe that takes the length out of the rewards as it is fitted. */
  readonly lengthEffect?: LengthEffect;
}

/** @throws TrainingError where the effect of the length is to be fitted and can't be */
export async function measuresOf(run: Run, reward: string, withTarget: boolean): Promise<Measures> {
  const { combine, normalise, length_penalty } = run.recipe.selection;
  const scales = normalise === "none" ? undefined : await scalesOf(run, reward, withTarget);
  const compared = {
    ...(scales === undefined ? {} : { scales }),
    ...(combine === "vote" ? { voting: votingOf(run.recipe) } : {}),
  };
  return length_penalty === "fitted"
    ? { ...compared, lengthEffect: await fittedEffect(run, reward, compared) }
    : compared;
}

/** The votes of a recipe whose rewards vote. */
export function votingOf({ rewards, selection }: Recipe): Voting {
  const gates = new Set(namedRewards(rewards).flatMap(({ name, isGate }) => (isGate ? [name] : [])));
  return {
    valuesOf: rewardValues(rewards),
    isShut: (parts) => gates.size > 0 && parts.some(({ name, weight }) => weight > 0 && name.endsWith(":closed")),
    weights: new Map(
      namedRewards(rewards).flatMap(({ name, isGate, weight }) => (isGate ? [] : [[name, weight] as const])),
    ),
    unfinished: selection.unfinished,
  };
}

/** The candidates of a prompt with their rewards as they are compared. */
export function measured(prompt: PromptCandidates, { scales, voting }: Measures): PromptCandidates {
  if (scales !== undefined) return withStandardScores(prompt, scales);
  return voting === undefined ? prompt : withVotes(prompt, voting);
}

/** The measures as a summary keeps them. */
export const measuresShown = ({ scales, voting, lengthEffect }: Measures) => ({
  combine: voting === undefined ? ("mean" as const) : ("vote" as const),
  scales: scales === undefined ? [] : [...scales.sources, ...scales.target],
  lengthEffect: lengthEffect ?? null,
});

async function scalesOf({ recipe, ledger }: Run, reward: string, withTarget: boolean): Promise<Measures["scales"]> {
  async function* valued(label: "sources" | "target") {
    for await (const { responses } of ledger.scores.byPrompt(label, reward))
      yield* responses.filter((response) => isUsable(response, recipe.selection.unfinished));
  }
  return {
    sources: await sourceScales(valued("sources")),
    target: withTarget ? await sourceScales(valued("target")) : [],
  };
}

/** Of the usable responses of the sources that take part: the target's come too late for supervised tuning. */
async function fittedEffect({ recipe, ledger }: Run, reward: string, measures: Measures): Promise<LengthEffect> {
  const { sources: named, unfinished } = recipe.selection;
  const fit = lengthEffectFit();
  for await (const { prompt, responses } of ledger.scores.byPrompt("sources", reward)) {
    const taking = responses.filter(
      (response) => (named?.includes(response.source) ?? true) && isUsable(response, unfinished),
    );
    fit.add(measured({ promptId: prompt.id, sources: taking, target: [] }, measures).sources);
  }
  const effect = fit.result();
  if (effect === null)
    throw new TrainingError("the effect of the length on the reward can't be fitted: no two scored responses tell it", {
      hint: "Set selection.length_penalty to a number, or sample more responses to a prompt.",
    });
  return effect;
}
