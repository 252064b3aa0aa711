import { DataError } from "../schema/index.ts";
import { mean } from "./mean.ts";
import { bootstrapMean, type Interval, type Resampling, signFlipTest } from "./resampling.ts";

/** The reward of one response. */
export interface Reward {
  readonly promptId: string;
  readonly value: number;
}

/** Mean reward of each prompt over its k responses, in the order in which the prompts first come. */
export function meanRewards(rewards: Iterable<Reward>): Map<string, number> {
  const values = new Map<string, number[]>();
  for (const { promptId, value } of rewards) {
    const list = values.get(promptId) ?? [];
    values.set(promptId, list);
    list.push(value);
  }
  return new Map([...values].map(([promptId, list]) => [promptId, mean(list)]));
}

export interface MeanReward {
  readonly prompts: number;
  /** Every prompt counts the same, whatever its number of responses. */
  readonly mean: number;
  /** Of the mean over prompts: what other prompts of the same kind would have given. */
  readonly interval: Interval;
}

/** One model's mean reward with its bootstrap interval over prompts. Throws DataError when there is no prompt. */
export function meanReward(means: ReadonlyMap<string, number>, resampling: Resampling): MeanReward {
  const values = [...means.values()];
  if (values.length === 0) throw new DataError("no prompt of the evaluation has a scored response");
  return { prompts: values.length, mean: mean(values), interval: bootstrapMean(values, resampling) };
}

/** Model A against model B on the same prompts. */
export interface Comparison {
  /** Prompts that both models answered; only they are compared. */
  readonly prompts: number;
  /** Prompts that only one of them answered. */
  readonly unpaired: number;
  readonly meanA: number;
  readonly meanB: number;
  /** meanA - meanB, with its paired bootstrap interval over prompts. */
  readonly difference: number;
  readonly interval: Interval;
  /** Two-sided, sign-flip permutation test over prompts. */
  readonly pValue: number;
  /** Prompts on which A's mean reward is higher, the same, lower. */
  readonly wins: number;
  readonly ties: number;
  readonly losses: number;
  /** (wins + ties / 2) / prompts, with its bootstrap interval over prompts. */
  readonly winRate: number;
  readonly winRateInterval: Interval;
}

/** Mean rewards closer than this, relative to their size, are a tie: the order of a sum changes its last bits. */
const tieTolerance = 1e-9;

/**
 * Compares two models prompt by prompt from their mean rewards (`meanRewards`). Throws DataError when no prompt has
 * rewards of both.
 */
export function compare(
  a: ReadonlyMap<string, number>,
  b: ReadonlyMap<string, number>,
  resampling: Resampling,
): Comparison {
  // Sorted, so that the order in which the prompts came does not change what the same seed draws.
  const both = [...a.keys()].filter((promptId) => b.has(promptId)).sort();
  if (both.length === 0) {
    throw new DataError("no prompt of the evaluation has scored responses of both models", {
      hint: "Look at what failed: amalgam status.",
    });
  }
  const pairs = both.map((promptId) => [a.get(promptId)!, b.get(promptId)!] as const);
  const differences = pairs.map(([x, y]) => (isTie(x, y) ? 0 : x - y));
  const outcomes = differences.map((difference) => (Math.sign(difference) + 1) / 2);
  const count = (outcome: number) => outcomes.filter((value) => value === outcome).length;
  return {
    prompts: both.length,
    unpaired: a.size + b.size - 2 * both.length,
    meanA: mean(pairs.map(([x]) => x)),
    meanB: mean(pairs.map(([, y]) => y)),
    difference: mean(differences),
    interval: bootstrapMean(differences, resampling),
    pValue: signFlipTest(differences, resampling),
    wins: count(1),
    ties: count(0.5),
    losses: count(0),
    winRate: mean(outcomes),
    winRateInterval: bootstrapMean(outcomes, resampling),
  };
}

export interface Verdict {
  /** "a" or "b" when that model is significantly better, "none" when it can't be told. */
  readonly better: "a" | "b" | "none";
  /** One sentence for the person, with every figure that it rests on. */
  readonly sentence: string;
}

/**
 * What a comparison allows to say. One model is called better only where the 95 % interval of the difference excludes 0
 * and the permutation test agrees (p <= 0.05): with a handful of prompts the interval alone would promise too much.
 */
export function verdict(comparison: Comparison, nameA: string, nameB: string): Verdict {
  const { difference, interval, pValue, prompts } = comparison;
  const excludesZero = interval.low > 0 || interval.high < 0;
  const figures =
    `${signed(difference)}, ${Math.round(interval.level * 100)} % interval ${signed(interval.low)} to ` +
    `${signed(interval.high)}, p = ${probability(pValue)}, ${prompts} ${prompts === 1 ? "prompt" : "prompts"}`;
  if (excludesZero && pValue <= 1 - interval.level + Number.EPSILON) {
    const [better, winner, loser] = difference > 0 ? (["a", nameA, nameB] as const) : (["b", nameB, nameA] as const);
    return { better, sentence: `${winner} is better than ${loser} (${nameA} - ${nameB}: ${figures}).` };
  }
  const because = excludesZero ? "; too few prompts to tell" : "";
  return {
    better: "none",
    sentence: `No significant difference between ${nameA} and ${nameB} (${nameA} - ${nameB}: ${figures})${because}.`,
  };
}

/** Whether two mean rewards, or two values of a question, are the same. */
export const isTie = (x: number, y: number) =>
  Math.abs(x - y) <= tieTolerance * Math.max(Math.abs(x), Math.abs(y), 1e-300);

const signed = (value: number) => `${value < 0 ? "-" : "+"}${Math.abs(value).toPrecision(3)}`;

const probability = (value: number) => (value < 0.001 ? value.toExponential(1) : value.toFixed(3));
