import { openRewards } from "../rewards/index.ts";
import { type RewardModel, type Score, type ScoreFailure, type ScoreRequest, SourceError } from "../schema/index.ts";
import type { StageName } from "./events.ts";
import { checkInterrupted, type Run } from "./run.ts";
import { grouped, inParts } from "./streams.ts";

/** The recipe's reward. */
export const openReward = (run: Run): Promise<RewardModel> =>
  openRewards(run.recipe.rewards, {
    modelFiles: (recipe) => run.model(recipe),
    endpoint: { notice: (text) => run.listener.notice(text) },
  });

/** Scores are stored in groups of so many, or so many milliseconds after the first came. */
const scoredTogether = 256;
const storedWithinMs = 1000;

/** Responses that a reward is given at once, a multiple of what it works on together: a run's texts need not fit into memory. */
const ratedTogether = 4096;

async function* rated(
  reward: RewardModel,
  requests: AsyncIterable<ScoreRequest>,
  signal: AbortSignal,
): AsyncGenerator<Score | ScoreFailure> {
  for await (const part of inParts(requests, ratedTogether)) {
    if (signal.aborted) return;
    yield* reward.score(part, signal);
  }
}

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
  const total = await ledger.scores.lacking(label, reward.identity);
  if (total === 0) return { scored: 0, failed: 0 };
  let scored = 0;
  let failed = 0;
  let reason = "";
  try {
    const requests = ledger.scores.unscored(label, reward.identity);
    for await (const outcomes of grouped(rated(reward, requests, run.signal), scoredTogether, storedWithinMs)) {
      scored += await ledger.scores.add(reward.identity, outcomes);
      for (const outcome of outcomes) {
        if (!("failure" in outcome)) continue;
        failed += 1;
        reason = outcome.failure;
      }
      listener.progress({ stage, label: reward.name, done: scored, total, unit: "scores" });
    }
  } catch (error) {
    throw error instanceof SourceError ? error.amend({ hint: `This came up with the reward ${reward.name}.` }) : error;
  }
  checkInterrupted(run);
  if (failed > 0 && scored === 0) await refuseSilent(run, label, reward, reason);
  if (failed > 0)
    listener.notice(
      `${failed} of ${total} responses could not be scored (${reason}); they take no part, and the next run tries them again`,
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
