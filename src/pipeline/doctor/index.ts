import { resolve } from "node:path";
import { AmalgamError, describeError, type LoadedRecipe, loadRecipe, RecipeError } from "../../schema/index.ts";
import { recipeFileOf } from "../run.ts";
import { type Finding, ok, problem } from "./finding.ts";
import { machineFindings } from "./machine.ts";
import { recipeFindings } from "./recipe.ts";
import { runFolderFindings } from "./run-folder.ts";

export type { Finding } from "./finding.ts";

export interface DoctorOptions {
  /** The run folder, if there is one; its `recipe.yaml` counts where no recipe is named. */
  readonly folder?: string | undefined;
  readonly recipeFile?: string | undefined;
  readonly overrides?: readonly string[];
  readonly offline?: boolean;
  readonly signal: AbortSignal;
  /** Told before something takes a while. */
  readonly notify: (line: string) => void;
}

/** Looks at the machine, and at everything a recipe needs where there is one. Yields each finding as it is made. */
export async function* diagnose(options: DoctorOptions): AsyncGenerator<Finding> {
  let engine = false;
  for await (const finding of machineFindings(options.notify)) {
    options.signal.throwIfAborted();
    if (finding.what === "matrix products") engine = true;
    yield finding;
  }
  const { folder, recipeFile } = options;
  if (folder !== undefined) yield* runFolderFindings(folder);
  if (folder === undefined && recipeFile === undefined) return;
  let loaded: LoadedRecipe;
  try {
    loaded = loadRecipe(recipeFile ?? recipeFileOf(folder!, undefined), options.overrides);
  } catch (error) {
    if (!(error instanceof AmalgamError)) throw error;
    const mistakes = error instanceof RecipeError ? [error.with([]), ...error.others] : [error];
    for (const mistake of mistakes) yield problem("recipe", describeError(mistake));
    return;
  }
  yield ok("recipe", `${loaded.recipe.name}: ${loaded.file}`);
  yield* recipeFindings({
    loaded,
    folder: resolve(folder ?? loaded.baseFolder),
    offline: options.offline ?? false,
    engine,
    signal: options.signal,
  });
}
