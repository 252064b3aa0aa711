import { setImmediate as nextTurn } from "node:timers/promises";
import { contentKey, DataError } from "../schema/index.ts";
import { scoreChecks } from "./checks/index.ts";
import type { ComponentOutcome, RewardComponent } from "./component.ts";
import { type ChecksRecipe, checksName } from "./recipe-checks.ts";

/** Rises with every change that can turn a verdict of a check: scores of an earlier version are not reused. */
const checksVersion = 1;

/** Work between two turns of the event loop, in milliseconds: Ctrl-C is heard and scores are stored meanwhile, however slow a pattern is. */
const turnEveryMs = 50;

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
      let turned = performance.now();
      for (const [index, { prompt, text }] of requests.entries()) {
        if (performance.now() - turned > turnEveryMs) {
          await nextTurn();
          turned = performance.now();
        }
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
