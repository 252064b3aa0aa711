import { openRewards } from "../rewards/index.ts";
import { type RewardModel, type Score, type ScoreFailure, type ScoreRequest, SourceError } from "../schema/index.ts";
import type { StageName } from "./events.ts";
import { checkInterrupted, type Run } from "./run.ts";

/** The recipe's reward. */
export const openReward = (run: Run): Promise<RewardModel> =>
  openRewards(run.recipe.rewards, {
    modelFiles: (recipe) => run.model(recipe),
    endpoint: { notice: (text) => run.listener.notice(text) },
  });

const scoredTogether = 256;

/**
 * Scores every response under the label that has no score of this reward yet.
 *
 * @throws SourceError when none of them could be scored, then and before; Interrupted on an abort.
 */
export async function scoreMissing(
  run: Run,
  stage: StageName,
  label: string,
  reward: RewardModel,
): Promise<Record<string, number>> {
  const { ledger, listener } = run;
  const requests: ScoreRequest[] = [];
  for await (const request of ledger.scores.unscored(label, reward.identity)) requests.push(request);
  if (requests.length === 0) return { scored: 0, failed: 0 };
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
  } catch (error) {
    throw error instanceof SourceError ? error.amend({ hint: `This came up with the reward ${reward.name}.` }) : error;
  } finally {
    if (waiting.length > 0) await store();
  }
  checkInterrupted(run);
  if (failed === requests.length) await refuseSilent(run, label, reward, reason);
  if (failed > 0)
    listener.notice(
      `${failed} of ${requests.length} responses could not be scored (${reason}); they take no part, and the next run tries them again`,
    );
  return { scored, failed };
}

/** A reward that has scored nothing yet leaves nothing to choose by. */
async function refuseSilent({ ledger }: Run, label: string, reward: RewardModel, reason: string): Promise<void> {
  const status = (await ledger.scoreStatus()).find((row) => row.stage === label && row.reward === reward.identity);
  if (status !== undefined && status.done > 0) return;
  throw new SourceError(`the reward ${reward.name} could score no response at all: ${reason}`, {
    field: "rewards",
    hint: "Mend what it says, or change the rewards of the recipe, and run again: every response is kept.",
  });
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
