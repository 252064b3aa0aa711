import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  didYouMean,
  isSuiteFile,
  type LoadedSuite,
  loadSuite,
  packageFile,
  RecipeError,
  type SuiteOptions,
} from "../../schema/index.ts";

const folder = packageFile("suites");

/**
 * Reads a suite by its file, or by the name of one that comes with Amalgam.
 *
 * @throws RecipeError where there is neither, and for whatever is wrong with it.
 */
export function openSuite(named: string, options: SuiteOptions = {}): LoadedSuite {
  if (isSuiteFile(named)) return loadSuite(named, options);
  const file = join(folder, `${named}.yaml`);
  if (existsSync(file)) return loadSuite(file, options);
  const names = readdirSync(folder).flatMap((name) => (name.endsWith(".yaml") ? [name.slice(0, -5)] : []));
  throw new RecipeError(`there is no suite ${named}`, {
    hint: `${didYouMean(named, names)}Those that come with Amalgam: ${names.join(", ")}. A suite of your own is named by its file.`,
  });
}
