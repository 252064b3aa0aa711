import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { disposeAdapters, disposeModel, type LoadedModel, type ModelFiles, readModelFiles } from "../models/index.ts";
import { resolvePrecision } from "../nn/index.ts";
import { type Objective, objectiveOf, type Role } from "../objectives/index.ts";
import { contentKey, expandHome, type OptimisationRecipe, TrainingError } from "../schema/index.ts";
import { type Bundle, bundleTokens } from "../scoring/index.ts";
import type { StoredSelection } from "../store/index.ts";
import {
  decisiveFields,
  holdOut,
  movingReference,
  type PreferenceRow,
  packSequences,
  preferenceTask,
  type ResolvedOptimisation,
  type StepMetrics,
  sftTask,
  type TrainingTask,
  train,
  withMismatched,
  withReference,
} from "../training/index.ts";
import { modelCard } from "./card.ts";
import { withSinks } from "./logging.ts";
import { loadForTraining, saveTuned, withAdapters } from "./lora.ts";
import { withMicroBatchTokens } from "./micro-batches.ts";
import { checkInterrupted, Interrupted, type Run, runPaths } from "./run.ts";
import { type SampledEvaluation, sampledEvaluation } from "./sampled-evaluation.ts";
import { fittingRows, rowsOf } from "./training-rows.ts";
import { evaluationWords, shownFigures } from "./training-words.ts";

const computeOf = (run: Run, { precision }: OptimisationRecipe) =>
  resolvePrecision(precision, run.recipe.target.device);

const dtypeOfTraining = (run: Run, recipe: OptimisationRecipe) =>
  computeOf(run, recipe) === "bf16" ? ("bfloat16" as const) : ("float32" as const);

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
  early_stopping !== undefined && evaluation_samples > 0 ? { rewards: recipe.rewards, sampling: recipe.sampling } : {};

interface Tuning<Item> {
  readonly stage: "sft" | "wrpo";
  readonly recipe: ResolvedOptimisation;
  readonly model: LoadedModel;
  readonly files: ModelFiles;
  /** What adapters say that they adapt. */
  readonly base: string;
  readonly task: TrainingTask<Item>;
  readonly inputs: string;
  readonly target: string;
  /** Prompts whose rows are held out. */
  readonly heldOut: readonly string[];
}

/** Trains and writes the model folder. */
async function tune<Item>(run: Run, tuning: Tuning<Item>): Promise<Record<string, number>> {
  const { recipe, heldOut } = tuning;
  const model = withAdapters(tuning.model, recipe, run.recipe.seed);
  let evaluation: SampledEvaluation | undefined;
  try {
    if (recipe.evaluation_samples > 0)
      evaluation = await sampledEvaluation(run, model, heldOut, recipe.evaluation_samples);
    return await tuneBy(run, { ...tuning, model }, evaluation);
  } finally {
    await evaluation?.close();
    if (model.decoder.adapters !== undefined) disposeAdapters(model.decoder.adapters);
  }
}

async function tuneBy<Item>(
  run: Run,
  { stage, recipe, model, files, base, task, inputs, target }: Tuning<Item>,
  evaluation: SampledEvaluation | undefined,
): Promise<Record<string, number>> {
  const paths = runPaths(run.folder);
  let last: StepMetrics | undefined;
  const logged = {
    metrics: paths.metrics(stage),
    label: stage,
    name: `${run.recipe.name}-${stage}`,
    inputs,
    config: recipe,
  };
  const summary = await withSinks(run.recipe.logging, logged, (write) =>
    train(model.decoder, task, {
      recipe,
      seed: run.recipe.seed,
      dtype: dtypeOfTraining(run, recipe),
      inputs,
      checkpoints: paths.checkpoints(stage),
      metrics: paths.metrics(stage),
      ...(run.profile ? { profile: paths.profile(stage) } : {}),
      signal: run.signal,
      onStep(metrics, total) {
        last = metrics;
        write(metrics);
        run.listener.progress({
          stage,
          label: stage === "sft" ? "supervised tuning" : run.recipe.wrpo.objective,
          done: metrics.step,
          total,
          unit: "steps",
          figures: shownFigures(metrics),
        });
      },
      onEvaluation(figures, total) {
        write(figures);
        run.listener.notice(evaluationWords(figures, total));
      },
      onNotice: (line) => run.listener.notice(line),
      ...(evaluation === undefined ? {} : { sampled: evaluation.measure }),
    }),
  );
  if (!summary.finished) throw new Interrupted("stopped; the same command goes on from the checkpoint");
  mkdirSync(dirname(target), { recursive: true });
  saveTuned(target, { recipe, model, files, base, card: await modelCard(run, stage) });
  return {
    steps: summary.steps,
    rows: task.items.length,
    ...(last?.loss === undefined ? {} : { loss: last.loss }),
    ...(task.heldOut?.length ? { held_out: task.heldOut.length } : {}),
    ...(summary.skipped > 0 ? { skipped_steps: summary.skipped } : {}),
    ...(summary.best === undefined ? {} : { best_step: summary.best }),
  };
}

/**
 * A stage that makes a model folder is skipped when the folder stands and was made from the same inputs. The checkpoints
 * go only when the ledger knows of the folder: a run that was killed in between has them still.
 */
async function unlessDone(
  run: Run,
  stage: "sft" | "wrpo",
  inputs: string,
  folder: string,
  make: () => Promise<Record<string, number>>,
): Promise<Record<string, number> | undefined> {
  const name = `${stage}/model`;
  const stands = existsSync(folder) && (await run.ledger.meta.get(name)) === inputs;
  const counts = stands ? undefined : await make();
  if (!stands) await run.ledger.meta.set(name, inputs);
  const { keep_last, keep_best } = run.recipe[stage];
  // Who asks for several means to look at them.
  if (keep_last === 1 && keep_best === 0)
    rmSync(runPaths(run.folder).checkpoints(stage), { recursive: true, force: true });
  return counts;
}

/** The target as a person names it, or where it lies when that is by a path. */
function targetName({ recipe, baseFolder }: Run, { path }: ModelFiles): string {
  const { model, adapter } = recipe.target;
  if (adapter !== undefined) return path;
  return !model.startsWith("package:") && existsSync(resolve(baseFolder, expandHome(model))) ? path : model;
}

/** Supervised tuning of the target on y_ws: Target-SFT of the paper (section 4.1). Undefined when it stands already. */
export async function tuneSft(run: Run): Promise<Record<string, number> | undefined> {
  const { enabled: _, ...asked } = run.recipe.sft;
  const files = await run.model(run.recipe.target);
  const { rows: texts, digest } = await rowsOf(run, "sft", ({ sourceChosen }) => [sourceChosen]);
  const inputs = contentKey({
    target: files.digest,
    tokenizer: contentKey(files.tokenizer.files()),
    digest,
    recipe: decisiveFields(asked),
    ...sampledBy(run, asked),
    seed: run.recipe.seed,
    dtype: dtypeOfTraining(run, asked),
  });
  const folder = runPaths(run.folder).sftModel;
  return unlessDone(run, "sft", inputs, folder, async () => {
    const { rows, dropped } = fittingRows(run, "supervised tuning", texts, files, asked);
    const { training, heldOut } = holdOut(rows, asked.held_out_share, run.recipe.seed);
    const [items, evaluated] = [training, heldOut].map((part) => packSequences(part, asked.max_length));
    const model = loadForTraining(files, asked, run.recipe.target.device);
    try {
      const longest = longestOf([...items!, ...evaluated!]);
      const compute = computeOf(run, asked);
      const question = { stage: "sft", recipe: asked, model, compute, longest, inputs } as const;
      const counts = await tune(run, {
        stage: "sft",
        recipe: await withMicroBatchTokens(run, question),
        ...{ model, files, base: targetName(run, files) },
        task: { ...sftTask(items!), heldOut: evaluated! },
        inputs,
        target: folder,
        heldOut: heldOut.map(({ id }) => id),
      });
      return { ...counts, dropped: dropped.length };
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

/** The responses of a selection that an objective uses, in its order; undefined for what the selection lacks. */
function keysOf(selection: StoredSelection, { roles }: Objective): (string | undefined)[] {
  const byRole: Record<Role, readonly (string | undefined)[]> = {
    source_chosen: [selection.sourceChosen, ...(selection.furtherSources ?? [])],
    target_chosen: [selection.targetChosen],
    rejected: [selection.rejected],
    source_rejected: [selection.sourceRejected],
  };
  return roles.map((role, index) => byRole[role][index - roles.indexOf(role)]);
}

/** WRPO on the quadruples, from the tuned target as policy and as reference (paper section 3.3); from the untuned one without supervised tuning. Undefined when it stands already. */
export async function tuneWrpo(run: Run): Promise<Record<string, number> | undefined> {
  const asked = run.recipe.wrpo;
  const paths = runPaths(run.folder);
  const files = await startingFiles(run);
  const objective = objectiveOf(asked, run.recipe.selection.source_responses);
  const { rows: texts, lacking, digest } = await rowsOf(run, "wrpo", (selection) => keysOf(selection, objective));
  const dtype = dtypeOfTraining(run, asked);
  const inputs = contentKey({
    target: files.digest,
    tokenizer: contentKey(files.tokenizer.files()),
    digest,
    recipe: decisiveFields(asked),
    ...sampledBy(run, asked),
    seed: run.recipe.seed,
    dtype,
  });
  return unlessDone(run, "wrpo", inputs, paths.fusedModel, async () => {
    if (texts.length === 0)
      throw new TrainingError(`no prompt has every response that ${objective.name} compares`, {
        hint: "Its source_rejected is a second, worse response of the source that gave the best: draw sampling.n of 2 or more.",
      });
    if (lacking > 0)
      run.listener.notice(
        `WRPO: ${lacking} prompts were left out: the source of their best response gave no worse one`,
      );
    const { rows: fitting, dropped } = fittingRows(run, "WRPO", texts, files, asked);
    const rows = withMismatched(fitting, objective, asked);
    const model = loadForTraining(files, asked, run.recipe.target.device);
    const { reference_sync_steps: everySteps, reference_sync_alpha: alpha } = asked;
    const moving = everySteps === undefined ? undefined : movingReference(model.decoder, { everySteps, alpha });
    try {
      const longest = longestOf(rows.map((row) => [row]));
      const compute = computeOf(run, asked);
      const question = { stage: "wrpo", recipe: asked, model, compute, longest, inputs } as const;
      const recipe = await withMicroBatchTokens(run, question);
      const fixed = objective.needsReference && moving === undefined;
      const referenced = fixed
        ? await withReference(model, rows, run.ledger.referenceLogps, {
            microBatchTokens: recipe.micro_batch_tokens,
            dtype,
            heads: objective.needsHeads ?? false,
            signal: run.signal,
            progress: (done, total) =>
              run.listener.progress({ stage: "wrpo", label: "reference log-probs", done, total, unit: "rows" }),
          })
        : rows;
      if (referenced === undefined) checkInterrupted(run);
      const { training, heldOut } = holdOut<PreferenceRow>(referenced!, asked.held_out_share, run.recipe.seed);
      const task = { ...preferenceTask(training, objective, { reference: moving }), heldOut };
      const counts = await tune(run, {
        ...{ stage: "wrpo", recipe, task, inputs, target: paths.fusedModel },
        ...{ model, files, base: run.recipe.sft.enabled ? paths.sftModel : targetName(run, files) },
        heldOut: heldOut.map(({ id }) => id),
      });
      return { ...counts, dropped: dropped.length };
    } finally {
      moving?.dispose();
      disposeModel(model);
    }
  });
}
