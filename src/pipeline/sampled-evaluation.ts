import { embeddedSource } from "../generation/index.ts";
import type { LoadedModel } from "../models/index.ts";
import type { ScoreRequest } from "../schema/index.ts";
import type { Run } from "./run.ts";
import { samplingOf } from "./sampling.ts";
import { checkRewards, openReward } from "./scoring.ts";

/** What a model answers to prompts, as it is when it is asked. */
export interface SampledEvaluation {
  /** Mean reward and mean tokens of the responses; of those that could be drawn and scored. */
  measure(): Promise<{ readonly reward: number; readonly response_tokens: number }>;
  close(): Promise<void>;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Evaluates a model in training by `count` responses to each of these prompts of the run, drawn as the run draws and scored by
 * its reward. The random numbers are those of the seed, prompt and index each time: what differs is the model. Nothing of it goes
 * into the ledger.
 *
 * @throws RecipeError for a reward that compares.
 */
export async function sampledEvaluation(
  run: Run,
  model: LoadedModel,
  promptIds: readonly string[],
  count: number,
): Promise<SampledEvaluation> {
  const wanted = new Set(promptIds);
  const prompts = new Map(
    (await run.ledger.prompts.list(["sft", "wrpo"]))
      .filter(({ id }) => wanted.has(id))
      .map((prompt) => [prompt.id, prompt]),
  );
  await checkRewards(run);
  const reward = await openReward(run);
  const source = embeddedSource("policy", model, run.recipe.target.thinking);
  const indices = Array.from({ length: count }, (_, index) => index);
  const requests = [...prompts.values()].map(({ id, messages }) => ({ promptId: id, messages, indices }));
  return {
    async measure() {
      const responses: ScoreRequest[] = [];
      const tokens: number[] = [];
      for await (const outcome of source.sample(requests, samplingOf(run, {}), run.signal)) {
        if ("failure" in outcome) continue;
        const { promptId, index, text, responseTokens } = outcome;
        responses.push({ responseKey: `${promptId} ${index}`, prompt: prompts.get(promptId)!, text });
        tokens.push(responseTokens);
      }
      // The order of scoring decides in which batch a judge sees a response, and so its last bits.
      responses.sort((a, b) => (a.responseKey < b.responseKey ? -1 : 1));
      const values: number[] = [];
      for await (const outcome of reward.score(responses, run.signal))
        if ("value" in outcome) values.push(outcome.value);
      const lost = requests.length * count - values.length;
      if (lost > 0 && !run.signal.aborted)
        run.listener.notice(
          `${lost} of ${requests.length * count} responses of the evaluation could not be had or scored`,
        );
      return { reward: mean(values), response_tokens: mean(tokens) };
    },
    close: () => reward.close(),
  };
}
