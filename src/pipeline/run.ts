import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  findModel,
  findRewardModel,
  formatBytes,
  type LocateOptions,
  type LocateProgress,
  type ModelFiles,
  type PairRankerFiles,
  type RewardModelFiles,
} from "../models/index.ts";
import { splitPrompts } from "../preferences/index.ts";
import {
  amended,
  type LoadedRecipe,
  loadRecipe,
  ModelError,
  type ModelRecipe,
  type Override,
  type Recipe,
  RecipeError,
  replaceFile,
  resolvedHeader,
  resolvedRecipe,
  resolvedYaml,
} from "../schema/index.ts";
import { type Ledger, openLedger, type StoredPrompt } from "../store/index.ts";
import { explainDisk } from "./disk.ts";
import type { Activity, Listener } from "./events.ts";
import { leftOutWords, type PreparedPrompts, preparePrompts, skippedWords, writeLeftOut } from "./prompts.ts";
import { checkQuotas } from "./selection-rule.ts";

export interface RunOptions {
  /** The run folder; made where there is none. */
  readonly folder: string;
  /** A recipe to run; without it the run folder's own `recipe.yaml` counts. */
  readonly recipeFile?: string;
  /** `a.b=c`, on top of the recipe; or a sweep's. */
  readonly overrides?: readonly (string | Override)[];
  readonly signal: AbortSignal;
  readonly listener: Listener;
  /** Fetch nothing. */
  readonly offline?: boolean;
  /** Record two steps of each training. */
  readonly profile?: boolean;
  /** Ask for responses that could not be had again, as long as that brings some. */
  readonly retry?: boolean;
}

/** How a recipe names a model, whatever it is used for. */
type NamedModel = Pick<ModelRecipe, "model" | "chat_template" | "adapter">;

/** An open run: its recipe, its ledger, and what its stages share. */
export interface Run {
  readonly folder: string;
  readonly recipe: Recipe;
  /** The recipe as it stands in the run folder: the same whether it was named or found there. */
  readonly resolved: Recipe;
  /** Relative paths of the recipe start here. */
  readonly baseFolder: string;
  readonly ledger: Ledger;
  readonly listener: Listener;
  readonly signal: AbortSignal;
  /** Whether two steps of each training are recorded. */
  readonly profile: boolean;
  /** Whether responses that could not be had are asked for again at once. */
  readonly retry: boolean;
  /** Whether nothing may be fetched. */
  readonly offline: boolean;
  /** Config, tokenizer and digest of a model that the recipe names; found once. */
  model(recipe: ModelRecipe): Promise<ModelFiles>;
  /** The same of a reward model, or one that compares. */
  rewardModel(recipe: NamedModel): Promise<RewardModelFiles | PairRankerFiles>;
  close(): Promise<void>;
}

/** Thrown where the user stopped a run; nothing is lost, and the same command goes on. */
export class Interrupted extends Error {}

/** @throws Interrupted once the run was told to stop. */
export function checkInterrupted({ signal }: Pick<Run, "signal">): void {
  if (signal.aborted) throw new Interrupted("stopped; the same command goes on from here");
}

/** Where a run keeps its models, metrics and data sets. */
export const runPaths = (folder: string) => ({
  recipe: join(folder, "recipe.yaml"),
  sftModel: join(folder, "models", "sft"),
  fusedModel: join(folder, "models", "fused"),
  checkpoints: (stage: "sft" | "wrpo") => join(folder, "checkpoints", stage),
  metrics: (stage: "sft" | "wrpo") => join(folder, "metrics", `${stage}.jsonl`),
  profile: (stage: "sft" | "wrpo") => join(folder, "profiles", `${stage}.json`),
  leftOutPrompts: join(folder, "datasets", "left-out-prompts.jsonl"),
  quadruples: join(folder, "datasets", "quadruples.jsonl"),
  pairs: join(folder, "datasets", "pairs.jsonl"),
  report: join(folder, "report.html"),
});

/** Where a run keeps what the suites of its recipe came to, a folder for each. */
export const runSuites = (folder: string): string => join(folder, "evaluations");

/** The file of the recipe that counts: the one that is named, else the run folder's own. Throws RecipeError where there is none. */
export function recipeFileOf(folder: string, named: string | undefined): string {
  const own = runPaths(folder).recipe;
  if (named === undefined && !existsSync(own))
    throw new RecipeError("the run folder has no recipe yet, and none was given", {
      file: own,
      hint: "Name one with --recipe FILE, or write one with `amalgam init FOLDER`.",
    });
  return named ?? own;
}

/** A recipe that a person wrote into the run folder is kept, comments and all, beside its resolved form. */
function keepWritten(file: string): void {
  if (!existsSync(file) || readFileSync(file, "utf8").startsWith(resolvedHeader)) return;
  copyFileSync(file, file.replace(/\.yaml$/, ".written.yaml"));
}

/** The prompts with the part of the run that each belongs to. Without supervised tuning, those of its part take no part. */
function splitOf({ recipe, file }: LoadedRecipe, { training, heldOut }: PreparedPrompts): StoredPrompt[] {
  const ids = training.prompts.map((prompt) => prompt.id);
  const tuned = new Set(amended({ file }, () => splitPrompts(ids, recipe.selection.sft_share, recipe.seed)).sft);
  return [
    ...training.prompts
      .filter(({ id }) => recipe.sft.enabled || !tuned.has(id))
      .map((prompt) => ({ ...prompt, split: tuned.has(prompt.id) ? ("sft" as const) : ("wrpo" as const) })),
    ...heldOut.map((prompt) => ({ ...prompt, split: "evaluation" as const })),
  ];
}

/** A model of a recipe is asked in conversations, so it needs a chat template: told before anything is drawn. */
export function conversational(files: ModelFiles): ModelFiles {
  if (files.tokenizer.hasChatTemplate) return files;
  throw new ModelError(`${files.label} has no chat template: it is a base model, not tuned for conversations`, {
    hint: "Take its instruction-tuned version, or write a `chat_template` into the recipe.",
  });
}

/** The fields of a recipe that name a model. */
function usesOf({ target, sources, rewards }: Recipe, { model }: NamedModel): string {
  const named = (list: string, entries: readonly object[]) =>
    entries.flatMap((entry, index) => ("model" in entry && entry.model === model ? [`${list}.${index}.model`] : []));
  return [
    ...(target.model === model ? ["target.model"] : []),
    ...named("sources", sources),
    ...named("rewards", rewards),
  ].join(", ");
}

/** Tells the listener how far a model that is being fetched is. */
export function fetchProgress(listener: Listener, stage: Activity): (progress: LocateProgress) => void {
  let last = "";
  return ({ label, step, doneBytes, totalBytes }) => {
    if (step === "download")
      listener.progress({ stage, label: `fetching ${label}`, done: doneBytes, total: totalBytes, unit: "bytes" });
    else if (`${label} ${step}` !== last && step === "done")
      listener.notice(`${label} is there (${formatBytes(totalBytes)})`);
    last = `${label} ${step}`;
  };
}

/**
 * Opens a run: checks the recipe and its prompts, takes the run folder, and writes the recipe as resolved into it.
 *
 * @throws RecipeError, DataError, LedgerError: whatever is wrong with them, before anything is computed.
 */
export async function openRun(options: RunOptions): Promise<Run> {
  const folder = resolve(options.folder);
  const loaded = loadRecipe(recipeFileOf(folder, options.recipeFile), options.overrides);
  const prepared = await preparePrompts(loaded);
  const prompts = splitOf(loaded, prepared);
  amended({ file: loaded.file }, () => checkQuotas(loaded.recipe.selection, prepared.training.prompts));
  const resolved = resolvedRecipe(loaded.recipe, loaded.baseFolder, folder);
  const ledger = await amended({ file: loaded.file }, () => openLedger(folder, { shared: loaded.recipe.ledger }));
  try {
    // The prompts first: they may be refused, and then the run keeps the recipe that it had.
    await ledger.prompts.replace(prompts);
    const file = runPaths(folder).recipe;
    keepWritten(file);
    replaceFile(file, resolvedYaml(resolved));
    await ledger.meta.set("recipe", loaded.digest);
    writeLeftOut(runPaths(folder).leftOutPrompts, prepared);
    for (const words of [skippedWords(prepared.skipped), leftOutWords(prepared.training)])
      if (words !== undefined) options.listener.notice(words);
  } catch (error) {
    await ledger.close();
    throw explainDisk(error, folder);
  }
  return runOver(loaded, resolved, ledger, options);
}

/** A run over a ledger that is open. */
export function runOver(
  loaded: LoadedRecipe,
  resolved: Recipe,
  ledger: Ledger,
  options: Omit<RunOptions, "recipeFile" | "overrides">,
): Run {
  const models = new Map<string, Promise<ModelFiles>>();
  const rewardModels = new Map<string, Promise<RewardModelFiles | PairRankerFiles>>();
  const locating: LocateOptions = {
    baseFolder: loaded.baseFolder,
    progress: fetchProgress(options.listener, "sample"),
    ...(options.offline === undefined ? {} : { offline: options.offline }),
  };
  function once<Files>(
    found: Map<string, Promise<Files>>,
    recipe: NamedModel,
    find: (options: LocateOptions) => Promise<Files>,
  ): Promise<Files> {
    const key = JSON.stringify([recipe.model, recipe.chat_template, recipe.adapter]);
    const known = found.get(key);
    if (known !== undefined) return known;
    const hint = `The recipe names it in ${usesOf(loaded.recipe, recipe)}.`;
    const looked = amended({ hint }, () => find(locating));
    found.set(key, looked);
    return looked;
  }
  return {
    folder: resolve(options.folder),
    recipe: loaded.recipe,
    resolved,
    baseFolder: loaded.baseFolder,
    ledger,
    listener: options.listener,
    signal: options.signal,
    profile: options.profile === true,
    retry: options.retry === true,
    offline: options.offline === true,
    model: (recipe) => once(models, recipe, (options) => findModel(recipe, options).then(conversational)),
    rewardModel: (recipe) => once(rewardModels, recipe, (options) => findRewardModel(recipe, options)),
    close: () => ledger.close(),
  };
}
