import { DataError, type Place, type Prompt, type RewardRecipe } from "../../schema/index.ts";
import type { Language } from "../sandbox/index.ts";
import { codeBench } from "./bench.ts";
import { codeTestsId, testsOfPrompt } from "./tests.ts";

/** Throws a DataError for the first prompt with tests for code that no reward of the recipe would run. */
export function refuseUnrunTests(
  placed: Iterable<{ readonly prompt: Prompt; readonly place: Place }>,
  rewards: readonly RewardRecipe[],
): void {
  if (rewards.some(({ kind }) => kind === "code")) return;
  for (const { prompt, place } of placed) {
    const index = prompt.checks.findIndex(({ id }) => id === codeTestsId);
    if (index < 0) continue;
    throw new DataError(`${codeTestsId}: no reward of the recipe runs tests`, {
      ...place,
      field: `checks.${index}.id`,
      hint: "Write `- {kind: code}` among the rewards, or take this check out of the prompts.",
    });
  }
}

/** The languages of the prompts' tests. */
export const languagesOfTests = (prompts: Iterable<Prompt>): Language[] => [
  ...new Set([...prompts].flatMap((prompt) => testsOfPrompt(prompt).map(({ language }) => language))),
];

/** What rewards of kind `code` have here, in words. Throws EnvironmentError where they have no sandbox, or not one of the languages. */
export async function checkCode(
  languages: readonly Language[] = [],
  { timeout_seconds = 10, memory_mb = 512 } = {},
): Promise<string> {
  const bench = codeBench({ seconds: timeout_seconds, memoryBytes: memory_mb * 2 ** 20 });
  try {
    return await bench.describe(languages, new AbortController().signal);
  } finally {
    await bench.close();
  }
}
