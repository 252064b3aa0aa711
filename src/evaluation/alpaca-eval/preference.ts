import { sigmoid } from "../sigmoid.ts";

/** A token that may stand first in the judge's answer. */
export interface TokenLogProb {
  readonly token: string;
  readonly logprob: number;
}

/** What the judge calls the first output that it sees, and the second. */
export const labels = ["m", "M"] as const;
export type Label = (typeof labels)[number];

/** Two outputs that are alike: nobody is asked. */
export const draw = 1.5;

/** Probabilities of one token may add up to a little more than 1, by rounding. */
const mostMass = 1.001;

/**
 * The preference 2 - P(m) / (P(m) + P(M)) for the second output seen, 1..2, of the most probable first tokens of a judge's answer: what
 * alpaca-eval 0.6.6 makes of them. A label that is not among them has probability 0; null, no verdict, where neither is, and where a figure
 * is no log-prob.
 */
export function preferenceOf(tokens: readonly TokenLogProb[]): number | null {
  const mass = tokens.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0);
  if (!(mass <= mostMass)) return null;
  const logProbs = new Map(tokens.map(({ token, logprob }) => [token, logprob]));
  const [first, second] = labels.map((label) => logProbs.get(label) ?? Number.NEGATIVE_INFINITY) as [number, number];
  if (first === second && first === Number.NEGATIVE_INFINITY) return null;
  return 2 - sigmoid(first - second);
}

/**
 * The label that a judge wrote as its whole answer, quotes, full stops, emphasis and spaces around it aside; null for prose, both labels and
 * anything else.
 */
export function labelIn(text: string): Label | null {
  const bare = text.replace(/^[\s"'`*.([]+|[\s"'`*.)\]]+$/gu, "");
  return labels.find((label) => label === bare) ?? null;
}

/** The preference for the model's output over the baseline's, of that for the second output seen. */
export const forModel = (preference: number, switched: boolean): number => (switched ? 3 - preference : preference);
