import type { Candidate, PromptCandidates } from "./candidates.ts";
import { areEquallyLong } from "./contributions.ts";
import { type LengthEffect, lengthEffectFit } from "./length-effect.ts";

/** What the rewards of the responses to one prompt have to do with each other and with the texts' lengths, over many prompts. */
export interface RewardStatistics {
  readonly prompts: number;
  /** Pairs of responses to one prompt: what all figures are made of. */
  readonly pairs: number;
  /** How alike the components of the reward order responses, each with each; empty where there is one. */
  readonly agreement: readonly Agreement[];
  readonly length: LengthBias;
}

export interface Agreement {
  readonly components: [string, string];
  /** Kendall's tau-b over all pairs of responses to one prompt: 1 the same order, -1 the reverse; null where one of the two never differs. */
  readonly tau: number | null;
  /** Pairs that both tell apart. */
  readonly decided: number;
}

export interface LengthBias {
  /** Kendall's tau-b of reward and length in characters, over pairs of responses to one prompt; null where one of the two never differs. */
  readonly tau: number | null;
  /** How often the longer one of a pair has the higher reward (ties as halves), by how many times as long it is. */
  readonly longerWins: readonly LongerWins[];
  /** What the length adds to the reward where prompt and source are the same; null where that can't be told. */
  readonly effect: LengthEffect | null;
}

export interface LongerWins {
  /** The longer one has at least `from` and less than `below` times the characters of the other; no limit where null. */
  readonly from: number;
  readonly below: number | null;
  readonly pairs: number;
  readonly share: number | null;
}

/** The component of a reward that a part of it belongs to; undefined for a figure that doesn't count. */
export type ComponentOf = (part: string) => string | undefined;

/** Limits of the ratios of lengths: up to the first, two texts are equally long. */
const ratios = [1, 1.1, 1.25, 1.5, 2, 4];

/** Counts the statistics of responses, prompt by prompt, their rewards' parts grouped to components by `componentOf`. */
export function rewardStatistics(componentOf: ComponentOf) {
  const length = kendall();
  const effect = lengthEffectFit();
  const agreement = new Map<string, { readonly components: [string, string]; readonly order: Kendall }>();
  const longer = ratios.map(() => ({ pairs: 0, won: 0 }));
  let prompts = 0;
  let pairs = 0;

  function addAgreement(candidates: readonly Candidate[]): void {
    const components = componentValues(candidates, componentOf);
    const names = [...components.keys()].sort();
    for (const [at, a] of names.entries())
      for (const b of names.slice(at + 1)) {
        const id = JSON.stringify([a, b]);
        const found = agreement.get(id) ?? { components: [a, b], order: kendall() };
        agreement.set(id, found);
        found.order.add(components.get(a)!, components.get(b)!);
      }
  }

  return {
    add({ sources }: Pick<PromptCandidates, "sources">): void {
      prompts += 1;
      pairs += (sources.length * (sources.length - 1)) / 2;
      const lengths = sources.map(({ text }) => text.length);
      const values = sources.map(({ value }) => value);
      length.add(values, lengths);
      effect.add(sources);
      addLonger(longer, values, lengths);
      addAgreement(sources);
    },

    result: (): RewardStatistics => ({
      prompts,
      pairs,
      agreement: [...agreement.keys()].sort().map((id) => {
        const { components, order } = agreement.get(id)!;
        return { components, tau: order.tau(), decided: order.decided() };
      }),
      length: {
        tau: length.tau(),
        effect: effect.result(),
        longerWins: longer.map(({ pairs: count, won }, at) => ({
          from: ratios[at]!,
          below: ratios[at + 1] ?? null,
          pairs: count,
          share: count === 0 ? null : won / count,
        })),
      },
    }),
  };
}

type Kendall = ReturnType<typeof kendall>;

/**
 * Kendall's tau-b (Kendall 1945), pooled over groups within which values are compared: the pairs in the same order less those in
 * the reverse one, over the geometric mean of the pairs that each of the two tells apart. A NaN is compared with nothing.
 */
export function kendall() {
  let balance = 0;
  let differA = 0;
  let differB = 0;
  let decided = 0;
  return {
    add(a: readonly number[], b: readonly number[]): void {
      for (let i = 1; i < a.length; i += 1)
        for (let j = 0; j < i; j += 1) {
          const signA = Math.sign(a[i]! - a[j]!);
          const signB = Math.sign(b[i]! - b[j]!);
          const both = signA * signB;
          if (Number.isNaN(both)) continue;
          balance += both;
          if (signA !== 0) differA += 1;
          if (signB !== 0) differB += 1;
          if (both !== 0) decided += 1;
        }
    },
    tau: (): number | null => (differA === 0 || differB === 0 ? null : balance / Math.sqrt(differA * differB)),
    decided: () => decided,
  };
}

function addLonger(
  counts: readonly { pairs: number; won: number }[],
  values: readonly number[],
  lengths: readonly number[],
): void {
  for (let i = 1; i < values.length; i += 1)
    for (let j = 0; j < i; j += 1) {
      if (lengths[i] === lengths[j]) continue;
      const long = lengths[i]! > lengths[j]! ? i : j;
      const short = long === i ? j : i;
      const ratio = lengths[long]! / lengths[short]!;
      const at = areEquallyLong(lengths[i]!, lengths[j]!) ? 0 : ratios.findLastIndex((from) => from <= ratio);
      counts[at]!.pairs += 1;
      counts[at]!.won += values[long]! > values[short]! ? 1 : values[long]! < values[short]! ? 0 : 0.5;
    }
}

/** What each component gave to each response: the weighted sum of its parts; NaN where it had nothing to say. */
function componentValues(candidates: readonly Candidate[], componentOf: ComponentOf): Map<string, number[]> {
  const components = new Map<string, number[]>();
  for (const [at, { parts = [] }] of candidates.entries())
    for (const { name, value, weight } of parts) {
      const component = componentOf(name);
      if (component === undefined || weight === 0) continue;
      const values = components.get(component) ?? Array<number>(candidates.length).fill(Number.NaN);
      components.set(component, values);
      values[at] = (Number.isNaN(values[at]) ? 0 : values[at]!) + weight * value;
    }
  return components;
}
