import { existsSync } from "node:fs";
import { type EvaluationSummary, type Reward, summarise } from "../evaluation/index.ts";
import type { ModelFiles } from "../models/index.ts";
import { contentKey } from "../schema/index.ts";
import type { Json } from "../store/index.ts";
import { lazyModel } from "./lazy-source.ts";
import { comparisonEvaluation, readComparison } from "./report/stored-evaluation.ts";
import { type Run, runPaths } from "./run.ts";
import { drawMissing, type PlannedDraw, samplingOf } from "./sampling.ts";
import { openReward, scoreMissing } from "./scoring.ts";
import { comparedModels } from "./trainings.ts";
import { tunedFiles } from "./tuning.ts";

/** The models that are compared on the held-out prompts, in the order of the table; the first is the baseline. */
const evaluatedModels = {
  untuned: (run: Run): Promise<ModelFiles> => run.model(run.recipe.target),
  sft: (run: Run) => tunedFiles(runPaths(run.folder).sftModel, "sft"),
  wrpo: (run: Run) => tunedFiles(runPaths(run.folder).fusedModel, "wrpo"),
};
export type EvaluatedModel = keyof typeof evaluatedModels;

/** The files of the models that a run compares, by name, the untuned target first. */
export const evaluatedFiles = (run: Run): Promise<[EvaluatedModel, ModelFiles][]> =>
  Promise.all(
    comparedModels(run.recipe).map(
      async (label): Promise<[EvaluatedModel, ModelFiles]> => [label, await evaluatedModels[label](run)],
    ),
  );

/** The same of those that are made, as far as the run is. */
export async function madeFiles(run: Run): Promise<Map<EvaluatedModel, ModelFiles>> {
  const { sftModel, fusedModel } = runPaths(run.folder);
  const places: Record<EvaluatedModel, string | undefined> = { untuned: undefined, sft: sftModel, wrpo: fusedModel };
  const made = comparedModels(run.recipe).filter((label) => {
    const place = places[label];
    return place === undefined || existsSync(place);
  });
  return new Map(await Promise.all(made.map(async (label) => [label, await evaluatedModels[label](run)] as const)));
}

/** What is asked of one of them. */
export const evaluationDraws = (run: Run, files: ModelFiles): PlannedDraw[] => [
  {
    source: lazyModel(sourceName, files, run.recipe.target),
    sampling: samplingOf(run, run.recipe.evaluation.sampling),
    n: run.recipe.evaluation.k,
    splits: ["evaluation"],
  },
];

/** Under which label the baseline's responses are, which are drawn first. */
const baseline = "evaluation/untuned";

/** Under which name the ledger keeps the inputs of this run's comparison. */
export const comparisonInputs = "comparison/inputs";

/** Every model draws from the streams of this name: what differs between them is the model, not the luck. */
const sourceName = "target";

/** Rewards and lengths of one model's responses to the held-out prompts. */
async function responsesOf(run: Run, label: string, stage: string, reward: string) {
  const rewards: Reward[] = [];
  const responseTokens: number[] = [];
  let unfinished = 0;
  for await (const response of run.ledger.responses.byStage(stage)) {
    responseTokens.push(response.responseTokens);
    if (response.finish === "length") unfinished += 1;
  }
  for await (const { prompt, responses } of run.ledger.scores.byPrompt(stage, reward))
    for (const { value } of responses) rewards.push({ promptId: prompt.id, value });
  return { label, rewards, responseTokens, unfinished };
}

/**
 * k responses of each model to every held-out prompt, scored by the recipe's reward, and their comparison: mean rewards,
 * differences to the untuned target and win rates, with bootstrap intervals. The result is kept in the ledger.
 * Undefined when the ledger has the comparison of exactly these responses and rewards.
 */
export async function evaluateModels(run: Run): Promise<Record<string, number> | undefined> {
  const { recipe, ledger, listener } = run;
  const reward = await openReward(run);
  // What an earlier recipe of this folder asked of a tuned target counts no longer.
  if (!recipe.sft.enabled) await ledger.responses.declare("evaluation/sft", []);
  try {
    const models = [];
    for (const [label, files] of await evaluatedFiles(run)) {
      const stage = `evaluation/${label}`;
      await drawMissing(run, { stage: "evaluate", label: stage, draws: evaluationDraws(run, files) });
      await scoreMissing(run, "evaluate", stage, reward, { rivals: baseline });
      models.push(await responsesOf(run, label, stage, reward.identity));
    }
    const resampling = { resamples: recipe.evaluation.bootstrap, seed: recipe.seed };
    const inputs = contentKey({ models, reward: reward.identity, resampling });
    const known = (await ledger.evaluations.get(comparisonEvaluation, inputs)) !== undefined;
    if (known && (await ledger.meta.get(comparisonInputs)) === inputs) return undefined;
    const summary = summarise(models, "untuned", resampling);
    await ledger.evaluations.set(comparisonEvaluation, inputs, summary as unknown as Json);
    await ledger.meta.set(comparisonInputs, inputs);
    for (const { verdict } of summary.models) if (verdict !== null) listener.notice(verdict.sentence);
    return { models: models.length, prompts: (await ledger.prompts.list(["evaluation"])).length };
  } finally {
    await reward.close();
  }
}

/** The latest comparison that the ledger holds. Throws LedgerError for one of another form. */
export const latestComparison = async ({ ledger }: Pick<Run, "ledger">): Promise<EvaluationSummary | undefined> =>
  (await readComparison(ledger, undefined)) ?? undefined;
