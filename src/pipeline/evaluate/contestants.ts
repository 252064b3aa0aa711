import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { findModel, type ModelFiles, modelIdentity } from "../../models/index.ts";
import {
  type ContestantRecipe,
  type EndpointRecipe,
  type JudgeOfSuite,
  LedgerError,
  loadRecipe,
  type ModelRecipe,
  modelSchema,
  RecipeError,
  type Thinking,
} from "../../schema/index.ts";
import type { Budget } from "../../sources/index.ts";
import { hasLedger } from "../../store/index.ts";
import type { Listener } from "../events.ts";
import { type LazySource, lazySource } from "../lazy-source.ts";
import { conversational, fetchProgress, runPaths } from "../run.ts";
import type { Answering, Contestant } from "./evaluation.ts";

/** What finding a model takes. */
export interface Finding {
  readonly listener: Listener;
  readonly offline: boolean;
  readonly budget: Budget | undefined;
}

/** A model with the folder that its path starts from. */
export interface PlacedContestant {
  readonly recipe: ContestantRecipe;
  readonly baseFolder: string;
}

/**
 * The models that a word of the command line names: `MODEL`, `NAME=MODEL`, or a run folder, which stands for its sources, its target and
 * what its trainings made of it.
 *
 * @throws LedgerError for a run that has made no model yet; RecipeError for a run whose recipe can't be read.
 */
export function namedContestants(word: string, listener: Listener): PlacedContestant[] {
  const [, name, reference] = /^(?:([A-Za-z0-9][A-Za-z0-9._-]*)=)?(.+)$/s.exec(word) ?? [];
  if (reference === undefined) return [];
  const folder = resolve(reference);
  if (!hasLedger(folder)) {
    const model = modelSchema.parse({ model: reference });
    return [placed({ name: name ?? shortName(reference), ...model, thinking: "apart" }, process.cwd())];
  }
  const found = runContestants(folder, listener);
  if (name === undefined) return found;
  return found.map(({ recipe, baseFolder }) => placed({ ...recipe, name: `${name}-${recipe.name}` }, baseFolder));
}

const placed = (recipe: ContestantRecipe, baseFolder: string): PlacedContestant => ({ recipe, baseFolder });

/** The last part of a path or id, without what a name may not have. */
const shortName = (reference: string): string =>
  basename(reference.replace(/^package:/, ""))
    .replace(/\.gguf$/i, "")
    .replaceAll(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "") || "model";

function runContestants(folder: string, listener: Listener): PlacedContestant[] {
  const { recipe: file, sftModel, fusedModel } = runPaths(folder);
  const { recipe, baseFolder } = loadRecipe(file);
  const sources = recipe.sources.flatMap((source): PlacedContestant[] => {
    if ("recorded" in source) {
      listener.notice(`${source.name} takes no part: of recorded responses there is no model to ask`);
      return [];
    }
    const { sampling: _, ...asked } = source;
    return [placed(asked, baseFolder)];
  });
  const { target } = recipe;
  const made = Object.entries({ sft: sftModel, fused: fusedModel }).flatMap(([name, path]) =>
    existsSync(path) ? [placed(madeOf(target, name, path), baseFolder)] : [],
  );
  if (made.length === 0)
    throw new LedgerError("the run has made no model yet", {
      file: folder,
      hint: `\`amalgam run ${folder}\` takes it to the end.`,
    });
  return [...sources, placed({ ...target, name: "target" }, baseFolder), ...made];
}

/** A model that a run made of its target. It has the target's template in it, and its adapters are merged. */
export function madeOf(
  { precision, device, thinking }: Pick<ModelRecipe, "precision" | "device"> & { readonly thinking: Thinking },
  name: string,
  path: string,
): ContestantRecipe {
  return { name, model: path, precision, device, thinking };
}

/**
 * Finds the models. Two may not have one name.
 *
 * @throws RecipeError for a name that stands twice; ModelError, EnvironmentError where a model can't be had.
 */
export async function openContestants(all: readonly PlacedContestant[], finding: Finding): Promise<Contestant[]> {
  const names = all.map(({ recipe }) => recipe.name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined)
    throw new RecipeError(`two models are called ${twice}`, {
      hint: "Give each a name of its own: amalgam evaluate before=MODEL after=OTHER ...",
    });
  const found: Contestant[] = [];
  for (const { recipe, baseFolder } of all)
    found.push(
      "outputs" in recipe
        ? { name: recipe.name, outputs: recipe.outputs }
        : { name: recipe.name, answering: await answeringOf(recipe, baseFolder, finding), outputs: {} },
    );
  return found;
}

/** Finds a judge. Its name is as given, else the model's own. Throws ModelError for one that can't be asked in conversations. */
export async function openSuiteJudge(judge: JudgeOfSuite, baseFolder: string, finding: Finding): Promise<Answering> {
  const own = "endpoint" in judge ? judge.endpoint.model : shortName(judge.model);
  const found = await answeringOf({ ...judge, name: judge.name ?? own }, baseFolder, finding);
  if (found.embedded !== undefined) conversational(found.embedded.files);
  return found;
}

type AnsweringRecipe =
  | (ModelRecipe & { readonly name: string; readonly thinking: Thinking; readonly system?: string | undefined })
  | { readonly name: string; readonly endpoint: EndpointRecipe; readonly system?: string | undefined };

async function answeringOf(recipe: AnsweringRecipe, baseFolder: string, finding: Finding): Promise<Answering> {
  const { name } = recipe;
  const { listener, offline, budget } = finding;
  if ("endpoint" in recipe) {
    const run = { baseFolder, listener, model: neverAsked };
    return { name, source: await lazySource(run, recipe, budget), endpoint: recipe.endpoint };
  }
  const progress = fetchProgress(listener, "evaluate");
  const files = await findModel(recipe, { baseFolder, progress, offline });
  const run = { baseFolder, listener, model: async () => files };
  return { name, source: inConversation(await lazySource(run, recipe, budget), files), embedded: { files, recipe } };
}

const neverAsked = (): Promise<ModelFiles> => Promise.reject(new Error("an endpoint has no files"));

/** A base model can be scored on tasks; only where it is to answer in a conversation does it need a chat template. */
const inConversation = (source: LazySource, files: ModelFiles): LazySource => ({
  ...source,
  open: async () => {
    conversational(files);
    return await source.open();
  },
});

/** What decides a model's answers, for who compares them later. */
export const contestantIdentity = ({ answering, outputs }: Contestant): unknown =>
  answering === undefined
    ? { outputs }
    : answering.embedded === undefined
      ? answering.source.identity
      : [answering.source.identity, modelIdentity(answering.embedded.files, answering.embedded.recipe)];
