import { contentKey, DataError } from "../schema/index.ts";
import { scoreChecks } from "./checks/index.ts";
import type { ComponentOutcome, RewardComponent } from "./component.ts";

/** Rises with every change that can turn a verdict of a check: scores of an earlier version are not reused. */
const checksVersion = 1;

/** Share of the prompt's verifiable checks that a response passes, each check a part. Silent on prompts without checks. */
export function checksComponent(): RewardComponent {
  return {
    name: "checks",
    identity: contentKey({ kind: "checks", version: checksVersion }),
    async *rate(requests, signal): AsyncGenerator<ComponentOutcome> {
      for (const [index, { prompt, text }] of requests.entries()) {
        if (signal.aborted) return;
        try {
          yield { index, parts: scoreChecks(prompt, text) };
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          yield { index, failure: error.message };
        }
      }
    },
    async close() {},
  };
}
