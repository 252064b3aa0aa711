import type { RewardRecipe, ScorePart } from "../schema/index.ts";
import { componentBy } from "./selection-rule.ts";

/** What a recipe's rewards are called, in its order; those that it weighs, and gates. */
export interface NamedReward {
  readonly name: string;
  /** Its place in the recipe. */
  readonly index: number;
  readonly isGate: boolean;
  readonly weight: number;
}

export const namedRewards = (rewards: readonly RewardRecipe[]): NamedReward[] =>
  rewards.map((reward, index) => ({
    name: ("name" in reward ? reward.name : undefined) ?? reward.kind,
    index,
    isGate: reward.gate !== undefined,
    weight: reward.weight,
  }));

/**
 * The value of each reward from the parts of a score: as it was weighed (clipped, where it is), or where it has no weight, as a gate or
 * behind one, the part that bears its name, else the mean of its parts. A reward that said nothing has none.
 */
export function rewardValues(rewards: readonly RewardRecipe[]): (parts: readonly ScorePart[]) => Map<string, number> {
  const componentOf = componentBy(rewards);
  // A run has millions of parts, of few names.
  const components = new Map<string, string>();
  return (parts) => {
    const by = new Map<string, ScorePart[]>();
    for (const part of parts) {
      if (part.name.endsWith(":closed")) continue;
      const name = components.get(part.name) ?? componentOf(part.name);
      components.set(part.name, name);
      const some = by.get(name);
      if (some === undefined) by.set(name, [part]);
      else some.push(part);
    }
    const values = new Map<string, number>();
    for (const [name, some] of by) values.set(name, valueFrom(name, some));
    return values;
  };
}

function valueFrom(name: string, parts: readonly ScorePart[]): number {
  const weight = parts.reduce((sum, part) => sum + part.weight, 0);
  if (weight > 0) return parts.reduce((sum, part) => sum + part.weight * part.value, 0) / weight;
  const clipped = parts.find((part) => part.name.endsWith(`${name}:clipped`));
  const own = clipped ?? parts.find((part) => part.name === name);
  return own?.value ?? parts.reduce((sum, { value }) => sum + value, 0) / parts.length;
}
