import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { disposeModel, type LoadedModel, type ModelFiles, readModelFiles } from "../models/index.ts";
import { type Objective, objectiveOf } from "../objectives/index.ts";
import { contentKey, expandHome, type OptimisationRecipe, TrainingError } from "../schema/index.ts";
import { type Bundle, bundleTokens } from "../scoring/index.ts";
import {
  checkpointDigest,
  decisiveFields,
  holdOut,
  movingReference,
  packSequences,
  preferenceTask,
  promptTokensOf,
  type ReferencedRow,
  type ResolvedOptimisation,
  sftTask,
  type TrainingOptions,
  type TrainingRow,
  type TrainingTask,
  withMismatched,
  withReference,
} from "../training/index.ts";
import { modelCard } from "./card.ts";
import { loadForTraining } from "./lora.ts";
import { withMicroBatchTokens } from "./micro-batches.ts";
import { computeTypes, trainModel, unlessMade } from "./model-training.ts";
import { checkInterrupted, type Run, runPaths } from "./run.ts";
import { sampledEvaluation } from "./sampled-evaluation.ts";
import { fittingRows, keysOf, type PickKeys, rowsDigest, rowsOf, unfitCounts } from "./tuning-rows.ts";

type Stage = "sft" | "wrpo";
type Counts = Record<string, number>;

const typesOf = ({ recipe }: Run, stage: Stage) => computeTypes(recipe[stage].precision, recipe.target.device);

const longestOf = (items: readonly (readonly Bundle[])[]): number =>
  items.reduce(
    (most, bundles) =>
      Math.max(
        most,
        bundles.reduce((sum, bundle) => sum + bundleTokens(bundle), 0),
      ),
    0,
  );

/** What decides samples, where these decide when a training ends. */
const sampledBy = ({ recipe }: Run, { early_stopping, evaluation_samples }: OptimisationRecipe) =>
  early_stopping !== undefined && evaluation_samples > 0
    ? {
        rewards: recipe.rewards,
        sampling: recipe.sampling,
        ...(recipe.target.thinking === "apart" ? {} : { thinking: recipe.target.thinking }),
      }
    : {};

/** Digest of all that decides the model of a stage. */
const inputsOf = (run: Run, stage: Stage, files: ModelFiles, digest: string): string =>
  contentKey({
    target: files.digest,
    tokenizer: contentKey(files.tokenizer.files()),
    digest,
    recipe: decisiveFields(run.recipe[stage]),
    ...sampledBy(run, run.recipe[stage]),
    seed: run.recipe.seed,
    dtype: typesOf(run, stage).dtype,
  });

const objectiveFor = ({ recipe }: Run): Objective => objectiveOf(recipe.wrpo, recipe.selection.source_responses);

/** The responses that each training learns from. */
const picks: Readonly<Record<Stage, (run: Run) => PickKeys>> = {
  sft:
    () =>
    ({ sourceChosen }) => [sourceChosen],
  wrpo: (run) => {
    const objective = objectiveFor(run);
    return (selection) => keysOf(selection, objective);
  },
};

/** Rows that must stay in their batches. */
const orderOf = (run: Run, stage: Stage): Pick<TrainingOptions, "order"> =>
  stage === "wrpo" && objectiveFor(run).mismatched ? { order: "batches" } : {};

/** What the checkpoints bear that a stage goes on from, when all stages before it are done. */
export async function tuningDigest(run: Run, stage: Stage): Promise<string> {
  const files = stage === "sft" ? await run.model(run.recipe.target) : await startingFiles(run);
  const inputs = inputsOf(run, stage, files, await rowsDigest(run, stage, picks[stage](run)));
  const { seed } = run.recipe;
  const { dtype } = typesOf(run, stage);
  return checkpointDigest({ recipe: run.recipe[stage], inputs, seed, dtype, ...orderOf(run, stage) });
}

/** Makes the model folder of a stage, unless it stands. */
const unlessTuned = (run: Run, stage: Stage, inputs: string, folder: string, make: () => Promise<Counts>) =>
  unlessMade(
    {
      ledger: run.ledger,
      name: `${stage}/model`,
      inputs,
      made: [folder],
      checkpoints: runPaths(run.folder).checkpoints(stage),
      recipe: run.recipe[stage],
    },
    make,
  );

interface Tuning<Item> extends Pick<TrainingOptions, "order"> {
  readonly stage: Stage;
  readonly recipe: ResolvedOptimisation;
  readonly model: LoadedModel;
  readonly files: ModelFiles;
  readonly base: string;
  readonly task: TrainingTask<Item>;
  readonly inputs: string;
  readonly target: string;
  /** Prompts whose rows are held out. */
  readonly heldOut: readonly string[];
}

/** Trains, writes the model folder, and counts. */
async function tune<Item>(run: Run, { stage, heldOut, ...tuning }: Tuning<Item>): Promise<Counts> {
  const paths = runPaths(run.folder);
  const { recipe, task } = tuning;
  const { summary, last } = await trainModel(run, {
    ...tuning,
    stage,
    words: {
      progress: stage === "sft" ? "supervised tuning" : run.recipe.wrpo.objective,
      label: stage,
      name: `${run.recipe.name}-${stage}`,
    },
    seed: run.recipe.seed,
    dtype: typesOf(run, stage).dtype,
    checkpoints: paths.checkpoints(stage),
    metrics: paths.metrics(stage),
    ...(run.profile ? { profile: paths.profile(stage) } : {}),
    logging: run.recipe.logging,
    config: recipe,
    card: () => modelCard(run, stage),
    ...(recipe.evaluation_samples > 0
      ? { sampled: (model: LoadedModel) => sampledEvaluation(run, model, heldOut, recipe.evaluation_samples) }
      : {}),
  });
  return {
    steps: summary.steps,
    rows: task.items.length,
    ...(last?.loss === undefined ? {} : { loss: last.loss }),
    ...(task.heldOut?.length ? { held_out: task.heldOut.length } : {}),
    ...(summary.skipped > 0 ? { skipped_steps: summary.skipped } : {}),
    ...(summary.best === undefined ? {} : { best_step: summary.best }),
  };
}

/** The target as a person names it, or where it lies when that is by a path. */
function targetName({ recipe, baseFolder }: Run, { path }: ModelFiles): string {
  const { model, adapter } = recipe.target;
  if (adapter !== undefined) return path;
  return !model.startsWith("package:") && existsSync(resolve(baseFolder, expandHome(model))) ? path : model;
}

/** What `micro_batch_tokens: auto` goes by, for rows of which the longest item has so many tokens. */
const resolved = (run: Run, stage: Stage, model: LoadedModel, inputs: string, longest: number) =>
  withMicroBatchTokens(run, {
    training: stage,
    recipe: run.recipe[stage],
    config: model.decoder.config,
    compute: typesOf(run, stage).compute,
    device: run.recipe.target.device,
    longest,
    inputs,
  });

/** Supervised tuning of the target on y_ws: Target-SFT of the paper (section 4.1). Undefined when it stands already. */
export async function tuneSft(run: Run): Promise<Counts | undefined> {
  const asked = run.recipe.sft;
  const files = await run.model(run.recipe.target);
  const { rows: texts, digest } = await rowsOf(run, "sft", picks.sft(run));
  const inputs = inputsOf(run, "sft", files, digest);
  const folder = runPaths(run.folder).sftModel;
  return unlessTuned(run, "sft", inputs, folder, async () => {
    const { rows, ...unfit } = fittingRows(run, "supervised tuning", texts, files, asked);
    const { training, heldOut } = holdOut(rows, asked.held_out_share, run.recipe.seed, promptTokensOf);
    const [items, evaluated] = [training, heldOut].map((part) => packSequences(part, asked.max_length));
    const model = loadForTraining(files, asked, run.recipe.target.device);
    try {
      const recipe = await resolved(run, "sft", model, inputs, longestOf([...items!, ...evaluated!]));
      const counts = await tune(run, {
        ...{ stage: "sft", recipe, inputs, target: folder },
        ...{ model, files, base: targetName(run, files) },
        task: { ...sftTask(items!), heldOut: evaluated! },
        heldOut: heldOut.map(({ id }) => id),
      });
      return { ...counts, ...unfitCounts(unfit) };
    } finally {
      disposeModel(model);
    }
  });
}

/** Files of a model folder that a stage has made. */
export const tunedFiles = (folder: string, label: string): Promise<ModelFiles> => readModelFiles(folder, label);

/** The model that WRPO starts from, as policy and as reference: Target-SFT, or the target itself where there is no supervised tuning. */
export const startingFiles = (run: Run): Promise<ModelFiles> =>
  run.recipe.sft.enabled ? tunedFiles(runPaths(run.folder).sftModel, "sft") : run.model(run.recipe.target);

interface Referencing {
  readonly model: LoadedModel;
  readonly rows: readonly TrainingRow[];
  readonly objective: Objective;
  readonly recipe: ResolvedOptimisation;
}

/** The rows with the log-probs of the model as it is, those that the ledger has taken from it. */
async function referenced(run: Run, { model, rows, objective, recipe }: Referencing): Promise<ReferencedRow[]> {
  const found = await withReference(model, rows, run.ledger.referenceLogps, {
    microBatchTokens: recipe.micro_batch_tokens,
    dtype: typesOf(run, "wrpo").dtype,
    heads: objective.needsHeads ?? false,
    signal: run.signal,
    progress: (done, total) =>
      run.listener.progress({ stage: "wrpo", label: "reference log-probs", done, total, unit: "rows" }),
  });
  if (found === undefined) checkInterrupted(run);
  return found!;
}

/** WRPO on the quadruples, from the tuned target as policy and reference (paper section 3.3), or the untuned one. Undefined when it stands already. */
export async function tuneWrpo(run: Run): Promise<Counts | undefined> {
  const asked = run.recipe.wrpo;
  const { seed } = run.recipe;
  const paths = runPaths(run.folder);
  const files = await startingFiles(run);
  const objective = objectiveFor(run);
  const { rows: texts, lacking, digest } = await rowsOf(run, "wrpo", picks.wrpo(run));
  const inputs = inputsOf(run, "wrpo", files, digest);
  return unlessTuned(run, "wrpo", inputs, paths.fusedModel, async () => {
    if (texts.length === 0)
      throw new TrainingError(`no prompt has every response that ${objective.name} compares`, {
        hint: "Its source_rejected is a second, worse response of the source that gave the best: draw sampling.n of 2 or more.",
      });
    if (lacking > 0)
      run.listener.notice(
        `WRPO: ${lacking} prompts were left out: the source of their best response gave no worse one`,
      );
    const { rows: fitting, ...unfit } = fittingRows(run, "WRPO", texts, files, asked);
    const parts = holdOut(fitting, asked.held_out_share, seed, promptTokensOf);
    const matching = { maxLength: asked.max_length, batchSize: asked.batch_size, seed };
    const { training, heldOut } = withMismatched(parts, objective, matching);
    const rows = [...training, ...heldOut];
    const model = loadForTraining(files, asked, run.recipe.target.device);
    const { reference_sync_steps: everySteps, reference_sync_alpha: alpha } = asked;
    const moving = everySteps === undefined ? undefined : movingReference(model.decoder, { everySteps, alpha });
    try {
      const recipe = await resolved(run, "wrpo", model, inputs, longestOf(rows.map((row) => [row])));
      const fixed = objective.needsReference && moving === undefined;
      const known = fixed ? await referenced(run, { model, rows, objective, recipe }) : rows;
      const task = preferenceTask(known.slice(0, training.length), objective, { reference: moving });
      const counts = await tune(run, {
        ...{ stage: "wrpo", recipe, inputs, target: paths.fusedModel },
        ...{ model, files, base: run.recipe.sft.enabled ? paths.sftModel : targetName(run, files) },
        task: { ...task, heldOut: known.slice(training.length) },
        ...orderOf(run, "wrpo"),
        heldOut: heldOut.map(({ id }) => id),
      });
      return { ...counts, ...unfitCounts(unfit), ...(lacking > 0 ? { lacking } : {}) };
    } finally {
      moving?.dispose();
      disposeModel(model);
    }
  });
}
