import { contentKey, DataError } from "../schema/index.ts";
import { scoreChecks } from "./checks/index.ts";
import type { ComponentOutcome, RewardComponent } from "./component.ts";
import { type ChecksRecipe, checksName } from "./recipe-checks.ts";

/** Rises with every change that can turn a verdict of a check: scores of an earlier version are not reused. */
const checksVersion = 1;

/**
 * Mean of the checks that a response is held to, each check a part: of the prompt's own, or of those that `recipe` has for
 * every prompt. Silent on prompts without such checks.
 */
export function checksComponent(recipe: ChecksRecipe = {}): RewardComponent {
  const name = checksName(recipe);
  const reward = recipe.checks === undefined ? undefined : name;
  return {
    name,
    // The recipe's checks stand in the prompts, whose checks are part of every score's key.
    identity: contentKey({ kind: "checks", version: checksVersion, reward }),
    async *rate(requests, signal): AsyncGenerator<ComponentOutcome> {
      for (const [index, { prompt, text }] of requests.entries()) {
        if (signal.aborted) return;
        try {
          yield { index, parts: scoreChecks(prompt, text, reward) };
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          yield { index, failure: error.message };
        }
      }
    },
    async close() {},
  };
}
