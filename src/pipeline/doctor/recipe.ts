import { resolve } from "node:path";
import {
  adaptedFiles,
  baseAndAdapter,
  formatBytes,
  inquireModel,
  type ModelFiles,
  readJudgingFiles,
  readModelFiles,
} from "../../models/index.ts";
import { resolvePrecision } from "../../nn/index.ts";
import { splitPrompts } from "../../preferences/index.ts";
import { checkCode, isReference, languagesOfTests } from "../../rewards/index.ts";
import {
  type EndpointRecipe,
  type LoadedRecipe,
  looksAtTarget,
  type Precision,
  type Prompt,
  type Recipe,
  type ScoringEndpointRecipe,
} from "../../schema/index.ts";
import { probeEndpoint } from "../../sources/index.ts";
import {
  autoMicroBatchTokens,
  availableMemory,
  type Compute,
  freeMemory,
  parameterCount,
} from "../../training/index.ts";
import { leftOutWords, preparePrompts, skippedWords } from "../prompts.ts";
import { checkQuotas } from "../selection-rule.ts";
import { checkTrainings, comparedModels, trainingsOf } from "../trainings.ts";
import { type Finding, findingOf, ok, problem, warning } from "./finding.ts";
import { freeSpace } from "./machine.ts";
import { hasHead, isJudging, type JudgingFiles, modelKey, type NamedModel } from "./named-model.ts";
import { fits, largestNeed, runFolderBytes } from "./needs.ts";
import { rewardFindings } from "./rewards.ts";

export interface RecipeQuestion {
  readonly loaded: LoadedRecipe;
  /** Where the run is to lie. */
  readonly folder: string;
  readonly offline: boolean;
  /** Whether libtorch can be asked for its rates. */
  readonly engine: boolean;
  readonly signal: AbortSignal;
}

/** What a recipe needs, and whether it is there. Fetches no model and asks no endpoint for a completion. */
export async function* recipeFindings(question: RecipeQuestion): AsyncGenerator<Finding> {
  const { recipe } = question.loaded;
  const prompts = await promptFindings(question.loaded);
  yield* prompts.findings;
  const code = recipe.rewards.find(({ kind }) => kind === "code");
  if (code?.kind === "code") yield await codeFinding("sandbox of the recipe", languagesOfTests(prompts.all), code);
  const models = new Map<string, ModelFiles>();
  const judging = new Map<string, JudgingFiles>();
  let toFetch = 0;
  for (const [names, model] of embeddedModels(question.loaded)) {
    const { finding, files, bytes } = await modelFinding(names, model, question);
    yield finding;
    toFetch += bytes;
    if (files === undefined) continue;
    if (!isJudging(files)) models.set(modelKey(model), files);
    else if (finding.outcome !== "problem") judging.set(modelKey(model), files);
  }
  yield* rewardFindings(recipe.rewards, { models, judging });
  for (const [name, endpoint] of endpointsOf(question.loaded)) {
    const findings = await probeEndpoint(endpoint, { signal: question.signal });
    for (const { outcome, text, hint } of findings) {
      const make = { ok, unknown: warning, problem }[outcome];
      yield make(`endpoint of ${name}`, text, hint);
    }
  }
  const target = models.get(modelKey(recipe.target));
  const trainings = target === undefined ? undefined : trainingsFinding(question.loaded, target);
  if (trainings !== undefined) yield trainings;
  const compute = computeOf(question);
  if (compute !== undefined && trainings?.outcome !== "problem") {
    yield memoryFinding(question.loaded, models, compute);
    if (target !== undefined) yield* microBatchFindings(recipe, target, compute);
  }
  yield await diskFinding(question, target, prompts.responses, toFetch);
}

interface PromptFindings {
  readonly findings: Finding[];
  readonly responses: number;
  readonly all: readonly Prompt[];
}

async function promptFindings(loaded: LoadedRecipe): Promise<PromptFindings> {
  const { recipe } = loaded;
  const findings: Finding[] = [];
  let training: readonly Prompt[] = [];
  let heldOut: readonly Prompt[] = [];
  try {
    const prepared = await preparePrompts(loaded);
    training = prepared.training.prompts;
    heldOut = prepared.heldOut;
    const left = [skippedWords(prepared.skipped), leftOutWords(prepared.training)].filter(Boolean).join("; ");
    findings.push(promptsFinding("prompts", training, loaded, recipe.prompts.file, left));
    findings.push(promptsFinding("held-out prompts", heldOut, loaded, recipe.evaluation.prompts.file));
  } catch (error) {
    findings.push(findingOf("prompts", error));
  }
  const ids = training.map(({ id }) => id);
  let preferences = 0;
  if (ids.length > 0) {
    try {
      checkQuotas(recipe.selection, training);
      const { sft, wrpo } = splitPrompts(ids, recipe.selection.sft_share, recipe.seed);
      preferences = wrpo.length;
      const tuned = recipe.sft.enabled
        ? `${sft.length} prompts for supervised tuning`
        : `no supervised tuning (${sft.length} prompts take no part)`;
      const detail = `${tuned}, ${wrpo.length} for ${recipe.wrpo.objective}`;
      findings.push(ok("split", detail));
    } catch (error) {
      findings.push(findingOf("split", error));
    }
  }
  const seen = new Set(ids);
  const shared = heldOut.filter(({ id }) => seen.has(id));
  if (shared.length > 0) {
    findings.push(
      problem(
        "held-out prompts",
        `${shared.length} are among the training prompts, ${shared[0]!.id} for one`,
        "An evaluation is honest only on prompts that nothing was trained on.",
      ),
    );
  }
  const drawn = recipe.sft.enabled ? training.length : preferences;
  const responses =
    recipe.sampling.n * (drawn * recipe.sources.length + (looksAtTarget(recipe.selection) ? preferences : 0)) +
    comparedModels(recipe).length * recipe.evaluation.k * heldOut.length;
  return { findings, responses, all: [...training, ...heldOut] };
}

/** Whether code can be run here, in these languages. */
async function codeFinding(
  what: string,
  languages: Parameters<typeof checkCode>[0],
  limits: Parameters<typeof checkCode>[1],
): Promise<Finding> {
  try {
    return ok(what, `code of responses is run against tests: ${await checkCode(languages, limits)}`);
  } catch (error) {
    return findingOf(what, error);
  }
}

function promptsFinding(
  what: string,
  prompts: readonly Prompt[],
  { recipe, baseFolder }: LoadedRecipe,
  file: string,
  left = "",
): Finding {
  const checked = prompts.filter(({ checks }) => checks.some((check) => !isReference(check))).length;
  const unchecked =
    recipe.rewards.every(({ kind }) => kind === "checks" || kind === "code") && checked < prompts.length;
  const more = left === "" ? "" : `; ${left}`;
  const detail = `${prompts.length} in ${resolve(baseFolder, file)}, ${checked} of them with checks${more}`;
  return unchecked
    ? warning(what, detail, "A prompt without checks has no reward where checks are the only one.")
    : ok(what, detail);
}

type Named<T> = readonly (readonly [name: string, value: T])[];

type NamedEndpoint = EndpointRecipe | ScoringEndpointRecipe;

function entriesOf({ recipe }: LoadedRecipe): Named<NamedModel | { readonly endpoint: NamedEndpoint }> {
  return [
    ["target", recipe.target] as const,
    ...recipe.sources.flatMap((source) => ("recorded" in source ? [] : [[`source ${source.name}`, source] as const])),
    ...recipe.rewards.flatMap((reward) =>
      reward.kind === "checks" || reward.kind === "code"
        ? []
        : [[`${reward.kind === "judge" ? "judge" : "reward"} ${reward.name}`, reward] as const],
    ),
  ];
}

const endpointsOf = (loaded: LoadedRecipe): Named<NamedEndpoint> =>
  entriesOf(loaded).flatMap(([name, entry]) => ("endpoint" in entry ? [[name, entry.endpoint] as const] : []));

/** Each model once, with all the names that it serves under. */
function embeddedModels(loaded: LoadedRecipe): Named<NamedModel> {
  const found = new Map<string, { names: string[]; model: NamedModel }>();
  for (const [name, entry] of entriesOf(loaded)) {
    if (!("model" in entry)) continue;
    const known = found.get(modelKey(entry)) ?? { names: [], model: entry };
    known.names.push(name);
    found.set(modelKey(entry), known);
  }
  return [...found.values()].map(({ names, model }) => [names.join(", "), model] as const);
}

async function modelFinding(
  names: string,
  recipe: NamedModel,
  { loaded, offline }: RecipeQuestion,
): Promise<{ finding: Finding; files?: ModelFiles | JudgingFiles; bytes: number }> {
  const what = `model of ${names}`;
  const { chat_template } = recipe;
  try {
    const { base: model, baseFolder, adapter } = baseAndAdapter(recipe, loaded.baseFolder);
    const inquiry = await inquireModel(model, { baseFolder, offline });
    if (inquiry.state === "elsewhere") {
      const { bytes } = inquiry;
      const size = bytes === undefined ? "of unknown size" : formatBytes(bytes);
      const finding = offline
        ? problem(
            what,
            `${model} is not on this machine, and nothing may be fetched`,
            "Fetch it once without --offline.",
          )
        : ok(what, `${model}: to be fetched, ${size}`);
      return { finding, bytes: bytes ?? 0 };
    }
    const { located } = inquiry;
    const read = hasHead(recipe) ? readJudgingFiles : readModelFiles;
    const base = await read(located.path, located.label, chat_template);
    const found = (architecture: string, weights: number, note: string) =>
      ok(what, `${model}: here, ${architecture}, ${(weights / 1e6).toFixed(0)} M weights${note}`);
    const origin = located.note === undefined ? "" : `; ${located.note}`;
    if ("ranker" in base) return { finding: found("DebertaV2PairRM", base.size, origin), files: base, bytes: 0 };
    const files = adapter === undefined ? base : await adaptedFiles(base, adapter, chat_template);
    if (!files.tokenizer.hasChatTemplate) {
      const hint = "Take its instruction-tuned version, or write a `chat_template` into the recipe.";
      return { finding: problem(what, `${model} has no chat template: it is a base model`, hint), files, bytes: 0 };
    }
    const merged = adapter === undefined ? "" : `, the adapters of ${adapter} merged in`;
    return {
      finding: found(
        isJudging(files) ? files.head.architecture : files.family.architecture,
        parameterCount(files.decoderConfig),
        `${merged}${origin}`,
      ),
      files,
      bytes: 0,
    };
  } catch (error) {
    return { finding: findingOf(what, error), bytes: 0 };
  }
}

function trainingsFinding({ recipe }: LoadedRecipe, { decoderConfig }: ModelFiles): Finding {
  const what = "weights to train";
  try {
    checkTrainings(recipe, decoderConfig);
  } catch (error) {
    return findingOf(what, error);
  }
  return ok(what, "the target has those that the recipe names");
}

/** What each precision of the recipe comes to; undefined where only a measurement could tell and none can be made. */
function computeOf({
  loaded,
  engine,
}: RecipeQuestion): ((precision: Precision, device: string) => Compute) | undefined {
  const { target, sources, sft, wrpo } = loaded.recipe;
  const asked = [target, sft, wrpo, ...sources].flatMap((entry) => ("precision" in entry ? [entry.precision] : []));
  if (!engine && asked.includes("auto")) return undefined;
  return resolvePrecision;
}

function memoryFinding(
  { recipe }: LoadedRecipe,
  models: ReadonlyMap<string, ModelFiles>,
  compute: (precision: Precision, device: string) => Compute,
): Finding {
  const what = "memory of the recipe";
  const largest = largestNeed(recipe, (model) => models.get(modelKey(model))?.decoderConfig, compute);
  if (largest === undefined) return ok(what, "told once the models are on this machine");
  const free = availableMemory();
  const detail = `about ${formatBytes(largest.bytes)} at most, for ${largest.name}; ${formatBytes(free)} are free`;
  if (fits(largest, free)) return ok(what, detail);
  return largest.bytes <= 1.2 * free ? warning(what, detail, largest.cure) : problem(what, detail, largest.cure);
}

/** What `micro_batch_tokens: auto` comes to now, with the target's weights still to be loaded. */
function* microBatchFindings(
  { target: { device }, ...trainings }: Recipe,
  { decoderConfig: config }: ModelFiles,
  compute: (precision: Precision, device: string) => Compute,
): Generator<Finding> {
  for (const stage of trainingsOf(trainings)) {
    const recipe = trainings[stage];
    if (recipe.micro_batch_tokens !== "auto") continue;
    const what = `micro-batches of ${stage}`;
    const question = { config, recipe, compute: compute(recipe.precision, device), device, longest: recipe.max_length };
    try {
      const free = freeMemory(device) - (recipe.lora === undefined ? 4 : 2) * parameterCount(config);
      const { tokens, reason } = autoMicroBatchTokens(question, free);
      yield ok(what, `auto comes to ${tokens} tokens: ${reason}`);
    } catch (error) {
      yield findingOf(what, error);
    }
  }
}

async function diskFinding(
  { folder, loaded }: RecipeQuestion,
  target: ModelFiles | undefined,
  responses: number,
  toFetch: number,
): Promise<Finding> {
  const needed = runFolderBytes(target?.decoderConfig, responses, loaded.recipe.wrpo);
  const free = await freeSpace(folder);
  const fetched = toFetch > 0 ? `, and ${formatBytes(toFetch)} of models to fetch` : "";
  const most = target === undefined ? " without the target's models, whose size is not known yet" : "";
  const detail = `about ${formatBytes(needed)} for the run${most}${fetched}; ${formatBytes(free)} are free for ${folder}`;
  if (needed + toFetch <= 0.9 * free) return ok("disk of the run", detail);
  return problem("disk of the run", detail, "Free some space, or name a run folder on another disk.");
}
