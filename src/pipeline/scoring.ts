import { openRewards } from "../rewards/index.ts";
import { RecipeError, type RewardModel, type ScoreRequest, SourceError } from "../schema/index.ts";
import type { ScoreOutcome } from "../store/index.ts";
import type { StageName } from "./events.ts";
import { checkInterrupted, type Run } from "./run.ts";
import { type SpendingAccount, spendingAccount, spendingWords } from "./spending.ts";
import { grouped, inParts } from "./streams.ts";
import { trainingsOf } from "./trainings.ts";

/** A reward, and where what its endpoints spend is kept. */
export interface AccountedReward extends RewardModel {
  readonly account?: SpendingAccount | undefined;
}

/** The recipe's reward. What it spends counts in the run's budget, and stands in the ledger when it is closed. */
export async function openReward(run: Run): Promise<AccountedReward> {
  const account = await spendingAccount(run);
  const notice = (text: string) => run.listener.notice(text);
  const reward = await openRewards(run.recipe.rewards, {
    modelFiles: (recipe) => run.model(recipe),
    rewardModelFiles: (recipe) => run.rewardModel(recipe),
    endpoint: { notice, ...(account === undefined ? {} : { budget: account.budget }) },
  });
  const before = account?.budget.spent();
  return {
    ...reward,
    account,
    async close() {
      await reward.close();
      await account?.save();
      if (account !== undefined && account.budget.spent() !== before)
        notice(`spent so far: ${spendingWords(account.budget.spent())}`);
    },
  };
}

/**
 * Opens the rewards, which reads all of their models but the weights, so that what is wrong with them is told before anything is drawn.
 *
 * @throws RecipeError, ModelError as `openRewards`; RecipeError where a training is to be watched by a reward that only compares.
 */
export async function checkRewards(run: Run): Promise<void> {
  const watched = trainingsOf(run.recipe).find((stage) => run.recipe[stage].evaluation_samples > 0);
  // A machine that only samples for others need not have the models that score.
  if (watched === undefined && run.ledger.shared) return;
  const reward = await openReward(run);
  await reward.close();
  if (watched === undefined || reward.comparing !== true) return;
  throw new RecipeError(
    `the reward ${reward.name} compares the responses of one model, which tells nothing of the model`,
    {
      field: `${watched}.evaluation_samples`,
      hint: "Set it to 0, or take rewards that rate each response by itself.",
    },
  );
}

/** Scores are stored in groups of so many, or so many milliseconds after the first came. */
const scoredTogether = 256;
const storedWithinMs = 1000;

/** Responses that a reward is given at once, a multiple of what it works on together: a run's texts need not fit into memory. */
const ratedTogether = 4096;

async function* rated(
  reward: RewardModel,
  parts: AsyncIterable<readonly ScoreRequest[]>,
  signal: AbortSignal,
): AsyncGenerator<ScoreOutcome> {
  for await (const part of parts) {
    if (signal.aborted) return;
    const prompts = new Map(part.map(({ responseKey, prompt }) => [responseKey, prompt.id]));
    for await (const outcome of reward.score(part, signal))
      yield { ...outcome, promptId: prompts.get(outcome.responseKey)! };
  }
}

interface ScoringOptions {
  /** With whose responses what compares them compares: those of this label, of their own unless it is given. */
  readonly rivals?: string;
  /** Whether it is an error where no response of the label could be scored at all, or just counted. */
  readonly silence?: "error" | "counted";
}

/**
 * Scores every response under the label that has no score of this reward yet.
 *
 * @throws SourceError when none of them could be scored, then and before, unless that is just counted; Interrupted on an abort.
 */
export async function scoreMissing(
  run: Run,
  stage: StageName,
  label: string,
  reward: AccountedReward,
  { rivals = label, silence = "error" }: ScoringOptions = {},
): Promise<Record<string, number>> {
  const { ledger, listener } = run;
  const total = await ledger.scores.lacking(label, reward.identity);
  if (total === 0) return { scored: 0, failed: 0 };
  let scored = 0;
  let failed = 0;
  let reason = "";
  try {
    const requests = ledger.scores.unscored(label, reward.identity, { signal: run.signal, rivals });
    // Who waits for other workers must not sit on what others wait for.
    const parts = ledger.shared ? grouped(requests, ratedTogether, storedWithinMs) : inParts(requests, ratedTogether);
    for await (const outcomes of grouped(rated(reward, parts, run.signal), scoredTogether, storedWithinMs)) {
      await reward.account?.save();
      scored += await ledger.scores.add(reward.identity, outcomes);
      for (const outcome of outcomes) {
        if (!("failure" in outcome)) continue;
        failed += 1;
        reason = outcome.failure;
      }
      listener.progress({ stage, label: reward.name, done: scored, total, unit: "scores" });
    }
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    throw error.amend({
      hint: `This came up with ${reward.name}: ${total - scored} of ${total} responses have no score yet.`,
    });
  }
  checkInterrupted(run);
  if (failed > 0 && scored === 0 && silence === "error") await refuseSilent(run, label, reward, reason);
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
  const told = reason.startsWith(`${reward.name}: `) ? reason.slice(reward.name.length + 2) : reason;
  throw new SourceError(`${reward.name} could score no response at all: ${told}`, {
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
