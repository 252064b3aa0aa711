import { availableParallelism } from "node:os";
import { contentKey, DataError, type RewardRecipe, type ScorePart, type ScoreRequest } from "../../schema/index.ts";
import { gathered } from "../../sources/index.ts";
import type { ComponentOutcome, RewardComponent } from "../component.ts";
import { codeBench } from "./bench.ts";
import { codeOf } from "./extract.ts";
import { testsOfPrompt } from "./tests.ts";
import type { Verdict } from "./verdict.ts";

export type CodeRecipe = Extract<RewardRecipe, { kind: "code" }>;

/** Rises with every change that can turn a verdict: scores of an earlier version are not reused. */
const codeVersion = 1;

/**
 * Runs a response's code against its prompt's tests, each in a sandbox of its own, as many at a time as there are cores. The value is the share
 * of tests passed, or 1 where all are; beside it, with weight 0, how many failed in which way (`code:timeout`). Silent on prompts without tests.
 *
 * Rating throws EnvironmentError where this machine has no sandbox, or not the language.
 */
export function codeComponent({ score, code_from, timeout_seconds, memory_mb }: CodeRecipe): RewardComponent {
  const bench = codeBench({ seconds: timeout_seconds, memoryBytes: memory_mb * 2 ** 20 });

  const partsOf = async ({ prompt, text }: ScoreRequest, signal: AbortSignal): Promise<ScorePart[]> => {
    const verdicts: (Verdict | "no_code")[] = [];
    for (const { language, tests, before } of testsOfPrompt(prompt)) {
      const code = codeOf(text, language, code_from);
      for (const test of tests)
        verdicts.push(code === undefined ? "no_code" : await bench.verdict({ language, before, code, test }, signal));
    }
    return verdicts.length === 0 ? [] : asParts(verdicts, score);
  };

  return {
    name: "code",
    identity: contentKey({ kind: "code", version: codeVersion, score, code_from, timeout_seconds, memory_mb }),
    rate: (requests, signal) =>
      gathered<[number, ScoreRequest], ComponentOutcome>(
        requests.entries(),
        availableParallelism(),
        async ([index, request], emit, stop) => {
          try {
            emit({ index, parts: await partsOf(request, stop) });
          } catch (error) {
            if (!(error instanceof DataError)) throw error;
            emit({ index, failure: error.message });
          }
        },
        signal,
      ),
    close: () => bench.close(),
  };
}

function asParts(verdicts: readonly (Verdict | "no_code")[], score: CodeRecipe["score"]): ScorePart[] {
  const count = (verdict: Verdict | "no_code") => verdicts.filter((one) => one === verdict).length;
  const share = count("passed") / verdicts.length;
  const failures = [...new Set(verdicts)].filter((verdict) => verdict !== "passed").sort();
  return [
    { name: "code", value: score === "all" ? Math.floor(share) : share, weight: 1 },
    ...failures.map((verdict) => ({ name: `code:${verdict}`, value: count(verdict), weight: 0 })),
  ];
}
