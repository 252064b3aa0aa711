import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import {
  disposeModel,
  type LoadedModel,
  loadFiles,
  type ModelFiles,
  readModelFiles,
  saveModel,
} from "../models/index.ts";
import { resolvePrecision } from "../nn/index.ts";
import { objectiveOf, quadrupleRoles } from "../objectives/index.ts";
import { contentKey, type OptimisationRecipe, TrainingError } from "../schema/index.ts";
import type { StoredSelection } from "../store/index.ts";
import {
  type LengthLimits,
  packSequences,
  preferenceTask,
  type StepMetrics,
  sftTask,
  type TextRow,
  type TokenisedRows,
  type TrainingTask,
  tokeniseRows,
  train,
  withReference,
} from "../training/index.ts";
import { modelCard } from "./card.ts";
import { withSinks } from "./logging.ts";
import { checkInterrupted, Interrupted, type Run, runPaths } from "./run.ts";

const dtypeOfTraining = (run: Run, { precision }: OptimisationRecipe) =>
  resolvePrecision(precision, run.recipe.target.device) === "bf16" ? ("bfloat16" as const) : ("float32" as const);

/** The texts that a selection names, as rows; `pick` gives the response keys in the objective's order. `lacking` selections have not all of them. */
async function rowsOf(
  run: Run,
  split: "sft" | "wrpo",
  pick: (selection: StoredSelection) => readonly (string | undefined)[],
): Promise<{ rows: TextRow[]; lacking: number; digest: string }> {
  const selected = (await run.ledger.selections.list(split))
    .filter((selection) => selection.leftOut === undefined)
    .map((selection) => ({ promptId: selection.promptId, keys: pick(selection) }));
  const selections = selected.filter(isWhole);
  const lacking = selected.length - selections.length;
  const texts = await run.ledger.responses.texts(selections.flatMap(({ keys }) => keys));
  const prompts = new Map((await run.ledger.prompts.list([split])).map((prompt) => [prompt.id, prompt]));
  const rows = selections.map(({ promptId, keys }) => ({
    id: promptId,
    messages: prompts.get(promptId)!.messages,
    responses: keys.map((key) => texts.get(key)!),
  }));
  return { rows, lacking, digest: contentKey(selections.map(({ promptId, keys }) => [promptId, keys])) };
}

interface Picked<Key> {
  readonly promptId: string;
  readonly keys: readonly Key[];
}

const isWhole = (picked: Picked<string | undefined>): picked is Picked<string> =>
  picked.keys.every((key) => key !== undefined);

function fittingRows(
  run: Run,
  what: string,
  texts: readonly TextRow[],
  files: ModelFiles,
  limits: LengthLimits,
): TokenisedRows {
  const tokenised = tokeniseRows(texts, files.tokenizer, limits);
  const { dropped, shortened } = tokenised;
  if (dropped.length > 0)
    run.listener.notice(
      `${what}: ${dropped.length} rows are longer than ${limits.max_length} tokens and were left out: ${dropped.slice(0, 5).join(", ")}${dropped.length > 5 ? ", ..." : ""}`,
    );
  if (tokenised.rows.length === 0)
    throw new TrainingError(`${what}: no row fits into ${limits.max_length} tokens`, {
      hint: "Raise max_length and max_prompt_length of this training, or lower sampling.max_tokens.",
    });
  if (shortened.length > 0) run.listener.notice(`${what}: ${shortened.length} prompts lost their beginning to fit`);
  return tokenised;
}

interface Tuning<Item> {
  readonly stage: "sft" | "wrpo";
  readonly recipe: OptimisationRecipe;
  readonly model: LoadedModel;
  readonly task: TrainingTask<Item>;
  readonly inputs: string;
  readonly target: string;
}

/** Trains and writes the model folder. */
async function tune<Item>(
  run: Run,
  { stage, recipe, model, task, inputs, target }: Tuning<Item>,
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
      signal: run.signal,
      onStep(metrics, total) {
        last = metrics;
        write(metrics);
        const figures = {
          loss: metrics.loss!,
          ...(metrics["rewards/margins"] === undefined ? {} : { margin: metrics["rewards/margins"] }),
        };
        run.listener.progress({
          stage,
          label: stage === "sft" ? "supervised tuning" : recipe === run.recipe.wrpo ? run.recipe.wrpo.objective : stage,
          done: metrics.step,
          total,
          unit: "steps",
          figures,
        });
      },
    }),
  );
  if (!summary.finished) throw new Interrupted("stopped; the same command goes on from the checkpoint");
  mkdirSync(dirname(target), { recursive: true });
  saveModel(target, model, await modelCard(run, stage));
  return { steps: summary.steps, rows: task.items.length, ...(last?.loss === undefined ? {} : { loss: last.loss }) };
}

/** What of a recipe decides the trained weights: not where checkpoints fall, nor what only bounds the memory. */
export function decisive({
  checkpoint_every_steps: _,
  micro_batch_tokens: __,
  activation_checkpointing: ___,
  precision: ____,
  ...rest
}: OptimisationRecipe): unknown {
  return rest;
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
  rmSync(runPaths(run.folder).checkpoints(stage), { recursive: true, force: true });
  return counts;
}

/** Supervised tuning of the target on y_ws: Target-SFT of the paper (section 4.1). Undefined when it stands already. */
export async function tuneSft(run: Run): Promise<Record<string, number> | undefined> {
  const recipe = run.recipe.sft;
  const files = await run.model(run.recipe.target);
  const { rows: texts, digest } = await rowsOf(run, "sft", ({ sourceChosen }) => [sourceChosen]);
  const inputs = contentKey({
    target: files.digest,
    tokenizer: contentKey(files.tokenizer.files()),
    digest,
    recipe: decisive(recipe),
    seed: run.recipe.seed,
    dtype: dtypeOfTraining(run, recipe),
  });
  const folder = runPaths(run.folder).sftModel;
  return unlessDone(run, "sft", inputs, folder, async () => {
    const { rows, dropped } = fittingRows(run, "supervised tuning", texts, files, recipe);
    const model = loadFiles(files, { precision: "fp32", device: run.recipe.target.device });
    try {
      const counts = await tune(run, {
        stage: "sft",
        recipe,
        model,
        task: sftTask(packSequences(rows, recipe.max_length)),
        inputs,
        target: folder,
      });
      return { ...counts, dropped: dropped.length };
    } finally {
      disposeModel(model);
    }
  });
}

/** Files of a model folder that a stage has made. */
export const tunedFiles = (folder: string, label: string): Promise<ModelFiles> => readModelFiles(folder, label);

/** WRPO on the quadruples, from the tuned target as policy and as reference (paper section 3.3). Undefined when it stands already. */
export async function tuneWrpo(run: Run): Promise<Record<string, number> | undefined> {
  const recipe = run.recipe.wrpo;
  const paths = runPaths(run.folder);
  const files = await tunedFiles(paths.sftModel, "sft");
  const objective = objectiveOf(recipe);
  const named = {
    source_chosen: "sourceChosen",
    target_chosen: "targetChosen",
    rejected: "rejected",
    source_rejected: "sourceRejected",
  } as const;
  const roles = quadrupleRoles.filter((role) => objective.roles.includes(role));
  const {
    rows: texts,
    lacking,
    digest,
  } = await rowsOf(run, "wrpo", (selection) => roles.map((role) => selection[named[role]]));
  const dtype = dtypeOfTraining(run, recipe);
  const inputs = contentKey({
    target: files.digest,
    tokenizer: contentKey(files.tokenizer.files()),
    digest,
    recipe: decisive(recipe),
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
    const { rows, dropped } = fittingRows(run, "WRPO", texts, files, recipe);
    const model = loadFiles(files, { precision: "fp32", device: run.recipe.target.device });
    try {
      const referenced = objective.needsReference
        ? await withReference(model, rows, run.ledger.referenceLogps, {
            microBatchTokens: recipe.micro_batch_tokens,
            dtype,
            signal: run.signal,
            progress: (done, total) =>
              run.listener.progress({ stage: "wrpo", label: "reference log-probs", done, total, unit: "rows" }),
          })
        : rows;
      if (referenced === undefined) checkInterrupted(run);
      const task = preferenceTask(referenced!, objective);
      const counts = await tune(run, { stage: "wrpo", recipe, model, task, inputs, target: paths.fusedModel });
      return { ...counts, dropped: dropped.length };
    } finally {
      disposeModel(model);
    }
  });
}
