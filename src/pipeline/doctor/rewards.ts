import type { ModelFiles } from "../../models/index.ts";
import { tryReward } from "../../rewards/index.ts";
import { ModelError, type Recipe } from "../../schema/index.ts";
import { type Finding, findingOf } from "./finding.ts";
import { type JudgingFiles, modelKey, type NamedModel } from "./named-model.ts";

interface Read {
  readonly models: ReadonlyMap<string, ModelFiles>;
  readonly judging: ReadonlyMap<string, JudgingFiles>;
}

/**
 * What of the rewards doesn't fit together: a head and its settings, a judge's scale and its tokens, rubrics, templates. Of those whose
 * models are on this machine and can be read; what is wrong with the models themselves is told of these.
 */
export async function* rewardFindings(rewards: Recipe["rewards"], { models, judging }: Read): AsyncGenerator<Finding> {
  for (const [index, reward] of rewards.entries()) {
    if (reward.kind === "checks" || reward.kind === "code") continue;
    if ("model" in reward && !models.has(modelKey(reward)) && !judging.has(modelKey(reward))) continue;
    try {
      await tryReward(
        reward,
        {
          modelFiles: async (named) => found(models, named),
          rewardModelFiles: async (named) => found(judging, { ...named, kind: "model" }),
        },
        `rewards.${index}`,
      );
    } catch (error) {
      yield findingOf(`reward ${reward.name}`, error);
    }
  }
}

function found<Files>(files: ReadonlyMap<string, Files>, named: NamedModel): Files {
  const known = files.get(modelKey(named));
  if (known === undefined) throw new ModelError(`${named.model} was not read`);
  return known;
}
