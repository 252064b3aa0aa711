import type { OptionName } from "./command-table.ts";
import { UsageError } from "./usage-error.ts";

/** Of `evaluate --suite`. */
export interface SuiteArguments {
  readonly models: readonly string[];
  readonly suite: string;
  readonly output: string;
  readonly data: string | undefined;
}

const usage = "amalgam evaluate MODEL... --suite SUITE --output FOLDER";

/** What is measured by what, or undefined for a stage of a run. Takes the models out of `positionals`. */
export function suiteOf(
  positionals: string[],
  single: (name: OptionName) => string | undefined,
): SuiteArguments | undefined {
  const [suite, output, data, recipe] = (["suite", "output", "data", "recipe"] as const).map(single);
  if (suite === undefined) {
    const alone = output === undefined ? (data === undefined ? undefined : "data") : "output";
    if (alone !== undefined) throw new UsageError(`--${alone} belongs to --suite here`, usage);
    if (single("json") !== undefined) throw new UsageError("--json belongs to --suite here", usage);
    return undefined;
  }
  if (recipe !== undefined) throw new UsageError("--recipe names the recipe of a run, and --suite needs none", usage);
  if (output === undefined || output === "")
    throw new UsageError("--output is missing: where answers and tables go", usage);
  return { models: positionals.splice(0), suite, output, data };
}
