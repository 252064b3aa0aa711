import { openRewards } from "../rewards/index.ts";
import type { RewardModel, Score, ScoreFailure, ScoreRequest } from "../schema/index.ts";
import type { StageName } from "./events.ts";
import { checkInterrupted, type Run } from "./run.ts";

/** The recipe's reward. */
export const openReward = (run: Run): Promise<RewardModel> =>
  openRewards(run.recipe.rewards, { modelFiles: (recipe) => run.model(recipe) });

const scoredTogether = 256;

/** Scores every response under the label that has no score of this reward yet. */
export async function scoreMissing(
  run: Run,
  stage: StageName,
  label: string,
  reward: RewardModel,
): Promise<Record<string, number>> {
  const { ledger, listener } = run;
  const requests: ScoreRequest[] = [];
  for await (const request of ledger.scores.unscored(label, reward.identity)) requests.push(request);
  let scored = 0;
  let failed = 0;
  let reason = "";
  let waiting: (Score | ScoreFailure)[] = [];
  const store = async () => {
    scored += await ledger.scores.add(reward.identity, waiting);
    waiting = [];
  };
  try {
    for await (const outcome of reward.score(requests, run.signal)) {
      waiting.push(outcome);
      if ("failure" in outcome) {
        failed += 1;
        reason = outcome.failure;
      }
      if (waiting.length >= scoredTogether) await store();
      listener.progress({
        stage,
        label: reward.name,
        done: scored + waiting.length,
        total: requests.length,
        unit: "scores",
      });
    }
  } finally {
    if (waiting.length > 0) await store();
  }
  checkInterrupted(run);
  if (failed > 0)
    listener.notice(
      `${failed} of ${requests.length} responses could not be scored (${reason}); they take no part, and the next run tries them again`,
    );
  return { scored, failed };
}

/** Scores under a label, the reward opened and closed for it. */
export async function scoreLabel(run: Run, stage: StageName, label: string): Promise<Record<string, number>> {
  const reward = await openReward(run);
  try {
    return await scoreMissing(run, stage, label, reward);
  } finally {
    await reward.close();
  }
}
