import { z } from "zod";
import { mean } from "./mean.ts";
import type { Resampling } from "./resampling.ts";
import {
  type Comparison,
  compare,
  type MeanReward,
  meanReward,
  meanRewards,
  type Reward,
  verdict,
} from "./statistics.ts";

/** What one model did on the held-out prompts. */
export interface ModelResponses {
  /** "untuned", "sft", "wrpo". */
  readonly label: string;
  /** Of every scored response. */
  readonly rewards: readonly Reward[];
  /** Tokens of every response, the end-of-turn token included; responses that could not be scored count too. */
  readonly responseTokens: readonly number[];
  /** Of these responses, those that the token limit cut off. */
  readonly unfinished: number;
}

const count = z.int().min(0);
const share = z.number().min(0).max(1);
const intervalSchema = z.object({ low: z.number(), high: z.number(), level: share });

const comparisonSchema = z.object({
  prompts: count,
  unpaired: count,
  meanA: z.number(),
  meanB: z.number(),
  difference: z.number(),
  interval: intervalSchema,
  pValue: share,
  wins: count,
  ties: count,
  losses: count,
  winRate: share,
  winRateInterval: intervalSchema,
}) satisfies z.ZodType<Comparison>;

const verdictSchema = z.object({ better: z.enum(["a", "b", "none"]), sentence: z.string().min(1) });

const modelSummarySchema = z.object({
  label: z.string().min(1),
  responses: count,
  scored: count,
  unfinished: count,
  /** Null where there is no response. */
  meanResponseTokens: z.number().min(0).nullable(),
  reward: z.object({ prompts: count, mean: z.number(), interval: intervalSchema }) satisfies z.ZodType<MeanReward>,
  /** Against the baseline, this model being A; null for the baseline itself. */
  comparison: comparisonSchema.nullable(),
  verdict: verdictSchema.nullable(),
});

/** Parses what the ledger holds of a comparison of models. */
export const evaluationSummarySchema = z.object({
  baseline: z.string().min(1),
  resampling: z.object({ resamples: z.int().min(1), seed: z.int() }),
  /** The baseline first, then the others in the order given. */
  models: z.array(modelSummarySchema).min(1),
});
export type ModelSummary = z.infer<typeof modelSummarySchema>;
export type EvaluationSummary = z.infer<typeof evaluationSummarySchema>;

/**
 * Each model's mean reward with its interval, and each model against the baseline, prompt by prompt. Plain JSON.
 * Throws DataError where a model has no scored response, or none to a prompt that the baseline has answered.
 */
export function summarise(
  models: readonly ModelResponses[],
  baseline: string,
  resampling: Resampling,
): EvaluationSummary {
  refuseImpossible(models, baseline);
  const base = models.find(({ label }) => label === baseline)!;
  const baseMeans = meanRewards(base.rewards);
  const ordered = [base, ...models.filter((model) => model !== base)];
  return {
    baseline,
    resampling: { resamples: resampling.resamples, seed: resampling.seed },
    models: ordered.map((model) => {
      const means = meanRewards(model.rewards);
      const comparison = model === base ? null : compare(means, baseMeans, resampling);
      const { responseTokens, unfinished, label } = model;
      return {
        label,
        responses: responseTokens.length,
        scored: model.rewards.length,
        unfinished,
        meanResponseTokens: responseTokens.length === 0 ? null : mean(responseTokens),
        reward: meanReward(means, resampling),
        comparison,
        verdict: comparison === null ? null : verdict(comparison, label, baseline),
      };
    }),
  };
}

function refuseImpossible(models: readonly ModelResponses[], baseline: string): void {
  const labels = models.map(({ label }) => label);
  const twice = labels.find((label, index) => labels.indexOf(label) !== index);
  if (twice !== undefined) throw new Error(`two models of the evaluation are called ${twice}`);
  if (!labels.includes(baseline)) throw new Error(`the baseline ${baseline} is none of ${labels.join(", ")}`);
  for (const { label, rewards, responseTokens, unfinished } of models) {
    const bad = rewards.find(({ value }) => !Number.isFinite(value));
    if (bad !== undefined) throw new Error(`the reward of ${label} on ${bad.promptId} is ${bad.value}`);
    if (rewards.length > responseTokens.length || unfinished > responseTokens.length) {
      throw new Error(
        `${label} has ${responseTokens.length} responses, but ${rewards.length} rewards and ${unfinished} unfinished`,
      );
    }
  }
}
