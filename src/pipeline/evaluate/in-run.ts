import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { amended, expandHome, isSuiteFile, type LoadedSuite, RecipeError, type SuiteUse } from "../../schema/index.ts";
import type { Run } from "../run.ts";
import { runPaths, runSuites } from "../run.ts";
import { trainingsOf } from "../trainings.ts";
import { madeOf, type PlacedContestant } from "./contestants.ts";
import { evaluateSuite } from "./index.ts";
import { openSuite } from "./shipped-suites.ts";
import { leaderboardPaths } from "./tables/index.ts";

/** A suite that a run names, with where what came of it is kept. */
interface SuiteOfRun {
  readonly use: SuiteUse;
  readonly loaded: LoadedSuite;
  readonly folder: string;
}

/**
 * The suites that a run's recipe names.
 *
 * @throws RecipeError for whatever is wrong with one, and for two of one name.
 */
export function suitesOf({ recipe, baseFolder, folder }: Pick<Run, "recipe" | "baseFolder" | "folder">): SuiteOfRun[] {
  const seen = new Set<string>();
  return (recipe.evaluation.suites ?? []).map(({ suite, data }, at) => {
    const field = `evaluation.suites.${at}`;
    const use = {
      suite: isSuiteFile(suite) ? resolve(baseFolder, expandHome(suite)) : suite,
      ...(data === undefined ? {} : { data: resolve(baseFolder, expandHome(data)) }),
    };
    const loaded = amended({ field }, () => openSuite(use.suite, { dataFolder: use.data }));
    const { name } = loaded.suite;
    if (seen.has(name))
      throw new RecipeError(`two suites of the recipe are called ${name}`, {
        field,
        hint: "Give one of them another `name`.",
      });
    seen.add(name);
    return { use, loaded, folder: join(runSuites(folder), name) };
  });
}

/**
 * Measures the target before any training and what each training made of it by the suites of the recipe. Undefined where it names none, and
 * where all came out as it was.
 */
export async function evaluateSuites(run: Run): Promise<{ benchmarks: number } | undefined> {
  const suites = suitesOf(run);
  if (suites.length === 0) return undefined;
  const { target } = run.recipe;
  const { sftModel, fusedModel } = runPaths(run.folder);
  const places = { sft: sftModel, wrpo: fusedModel };
  const models: PlacedContestant[] = [
    { recipe: { ...target, name: "untuned" }, baseFolder: run.baseFolder },
    ...trainingsOf(run.recipe).map((stage) => ({
      recipe: madeOf(target, stage, places[stage]),
      baseFolder: run.baseFolder,
    })),
  ];
  let benchmarks = 0;
  let changed = false;
  for (const { use, folder } of suites) {
    const before = textOf(folder);
    const { results } = await evaluateSuite({
      models,
      suite: use.suite,
      dataFolder: use.data,
      folder,
      signal: run.signal,
      listener: run.listener,
      offline: run.offline,
    });
    benchmarks += results.length;
    changed ||= textOf(folder) !== before;
  }
  return changed ? { benchmarks } : undefined;
}

function textOf(folder: string): string | undefined {
  const { json } = leaderboardPaths(folder);
  return existsSync(json) ? readFileSync(json, "utf8") : undefined;
}
