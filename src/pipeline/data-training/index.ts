import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { stringify } from "yaml";
import { disposeAdapters, disposeModel, findModel, type LoadedModel, type ModelFiles } from "../../models/index.ts";
import { resolvePrecision } from "../../nn/index.ts";
import { type Objective, objectiveOf } from "../../objectives/index.ts";
import {
  AmalgamError,
  contentKey,
  type DataTrainingSettings,
  dataTrainingSettings,
  explainMemory,
  type OptimisationRecipe,
  RecipeError,
} from "../../schema/index.ts";
import { type Ledger, openLedger } from "../../store/index.ts";
import {
  autoMicroBatchTokens,
  decisiveFields,
  lazyPreferenceTask,
  lazySftTask,
  type ResolvedOptimisation,
  type StepMetrics,
  type TrainingTask,
  train,
} from "../../training/index.ts";
import { explainDisk } from "../disk.ts";
import type { Listener } from "../events.ts";
import { withSinks } from "../logging.ts";
import { loadForTraining, saveTuned, withAdapters } from "../lora.ts";
import { checkInterrupted, conversational, fetchProgress, Interrupted } from "../run.ts";
import { shownFigures } from "../training-words.ts";
import { computeReference, storedReference } from "./reference.ts";
import { countLines, countRows, type DataTrainingReport, dataTrainingCard } from "./report.ts";
import { openRows, readData } from "./rows.ts";

export interface DataTrainingOptions {
  /** JSONL and Parquet files; their formats are recognised by their fields. */
  readonly data: readonly string[];
  /** The model to train, as recipes name models: a folder, a GGUF file, a hub id. */
  readonly model: string;
  /** "sft", or an objective of preferences as recipes name it: "dpo", "wrpo", "simpo", ... */
  readonly objective: string;
  /** The folder to write into; made where there is none. */
  readonly output: string;
  /** `field=value` of `dataTrainingSettings`. */
  readonly settings?: readonly string[];
  readonly signal: AbortSignal;
  readonly listener: Listener;
  /** Fetch nothing. */
  readonly offline?: boolean;
  /** Record two steps of the training: a Chrome trace, and a table of where their time went as a notice. */
  readonly profile?: boolean;
}

const paths = (output: string) => ({
  settings: join(output, "settings.yaml"),
  ledger: join(output, "ledger"),
  reference: join(output, "ledger", "reference.json"),
  checkpoints: join(output, "checkpoints"),
  metrics: join(output, "metrics", "train.jsonl"),
  profile: join(output, "profiles", "train.json"),
  report: join(output, "report.json"),
  model: join(output, "model"),
});

/**
 * Trains a model on data of one's own, without a run: reads the files, computes the reference's log-probs where the
 * objective compares with one, trains, and writes a Hugging Face folder `model` into the output folder, with checkpoints,
 * metrics and a report beside it. Stopped or killed at any moment, the same call goes on; where the model was made from
 * the same data and settings already, nothing is done. The reference's log-probs stay in the folder and are used again by
 * other settings.
 *
 * @throws RecipeError for a setting, DataError for a row (with file and line), ModelError, TrainingError, LedgerError;
 * Interrupted when the signal stopped it.
 */
export async function trainOnData(options: DataTrainingOptions): Promise<DataTrainingReport> {
  const settings = dataTrainingSettings(options.objective, options.settings);
  const output = resolve(options.output);
  const ledger = await openLedger(paths(output).ledger);
  options.listener.stageStarted("train");
  const began = performance.now();
  try {
    const report = await trained({ ...options, output }, settings, ledger, began);
    const { seconds, doneBefore } = report;
    options.listener.stageFinished("train", { seconds, skipped: doneBefore });
    return report;
  } catch (error) {
    if (options.signal.aborted && !(error instanceof AmalgamError)) checkInterrupted(options);
    throw explainDisk(explainMemory(error, memoryCure(settings)), output);
  } finally {
    await ledger.close();
  }
}

function memoryCure({ micro_batch_tokens, activation_checkpointing }: DataTrainingSettings): string {
  const checkpointing = activation_checkpointing === "layer" ? "" : ", --set activation_checkpointing=layer";
  return `Lower micro_batch_tokens (now ${micro_batch_tokens})${checkpointing}, take a smaller model`;
}

/** The recipe of the training: nothing is held out, and so nothing evaluated. */
function recipeOf(settings: DataTrainingSettings): OptimisationRecipe {
  const { device: _, chat_template: __, unusable: ___, logging: ____, seed: _____, ...recipe } = settings;
  return { ...recipe, held_out_share: 0, evaluate_every_steps: 1, evaluation_samples: 0, keep_best: 0 };
}

/** Refuses what looks at more than a row at a time: rows are read one by one here. */
function refuseBeyondRows({ name, mismatched, needsHeads }: Objective): void {
  const hint = "A run of the pipeline has it: wrpo.objective and its settings in a recipe.";
  if (mismatched)
    throw new RecipeError(`${name} compares with responses of other rows, which train --data does not give it`, {
      hint,
    });
  if (needsHeads)
    throw new RecipeError("ld_alpha looks at the heads of responses, which train --data does not compute", { hint });
}

const supervised = { name: "sft", roles: ["completion"], needsReference: false } as const;

async function trained(
  options: DataTrainingOptions,
  settings: DataTrainingSettings,
  ledger: Ledger,
  began: number,
): Promise<DataTrainingReport> {
  const { output, signal, listener } = options;
  const place = paths(output);
  const objective = settings.objective === "sft" ? supervised : objectiveOf(settings);
  if (objective !== supervised) refuseBeyondRows(objective as Objective);
  const wanted = { objective: objective.name, roles: objective.roles };
  const data = await readData({ ...options, wanted, unusable: settings.unusable });
  try {
    const files = await modelFiles(options, settings);
    const dtype =
      resolvePrecision(settings.precision, settings.device) === "bf16" ? ("bfloat16" as const) : ("float32" as const);
    const tokens = contentKey({
      rows: data.rows.digest,
      tokenizer: files.tokenizer.files(),
      limits: [settings.max_length, settings.max_prompt_length, settings.overlong],
    });
    const asked = recipeOf(settings);
    const { seed } = settings;
    const inputs = contentKey({ tokens, model: files.digest, recipe: decisiveFields(asked), seed, dtype });
    const stands = existsSync(place.model) && (await ledger.meta.get("model")) === inputs;
    if (stands && existsSync(place.report)) return { ...earlierReport(place.report), doneBefore: true };
    const referenceInputs = contentKey({ tokens, model: files.digest, dtype, roles: objective.roles });
    const stored = objective.needsReference ? storedReference(place.reference, referenceInputs) : undefined;
    const rows = await openRows({
      rows: data.rows,
      tokenizer: files.tokenizer,
      settings,
      signal,
      listener,
      ...(stored === undefined ? {} : { known: stored.known }),
    });
    const finish = (steps: number, last: StepMetrics | null): DataTrainingReport => ({
      objective: objective.name,
      model: place.model,
      doneBefore: false,
      files: data.files,
      rows: countRows(data, rows),
      steps,
      last,
      seconds: (performance.now() - began) / 1000,
    });
    writeWhole(place.settings, stringify({ data: options.data, model: options.model, ...settings }));
    const model = loadForTraining(files, asked, settings.device);
    try {
      const longest = settings.max_length * objective.roles.length;
      const question = { recipe: asked, config: model.decoder.config, longest, device: settings.device, dtype, inputs };
      const recipe = { ...asked, micro_batch_tokens: await microBatchTokens(question, ledger, listener) };
      const reference = objective.needsReference
        ? (stored?.reference ??
          (await computeReference({
            model,
            rows,
            cache: ledger.referenceLogps,
            microBatchTokens: recipe.micro_batch_tokens,
            dtype,
            file: place.reference,
            inputs: referenceInputs,
            signal,
            listener,
          })))
        : undefined;
      for (const line of countLines(data, rows)) listener.notice(line);
      const run = async <Item>(task: TrainingTask<Item>): Promise<DataTrainingReport> => {
        const adapted = withAdapters(model, recipe, seed);
        try {
          const { last, steps } = await trainTask(options, settings, { task, recipe, model: adapted, inputs, dtype });
          const report = finish(steps, last);
          const card = { base: files.label, digest: files.digest, settings, files: data.files, rows: report.rows };
          const tuned = { recipe, model: adapted, files, base: files.path };
          saveTuned(place.model, { ...tuned, card: dataTrainingCard(card) });
          return report;
        } finally {
          if (adapted.decoder.adapters !== undefined) disposeAdapters(adapted.decoder.adapters);
        }
      };
      const report = await (objective === supervised
        ? run(lazySftTask(rows))
        : run(lazyPreferenceTask(rows, objective as Objective, reference)));
      writeWhole(place.report, `${JSON.stringify(report, null, 2)}\n`);
      await ledger.meta.set("model", inputs);
      // Who asks for several means to look at them.
      if (settings.keep_last === 1) rmSync(place.checkpoints, { recursive: true, force: true });
      return report;
    } finally {
      disposeModel(model);
    }
  } finally {
    data.rows.close();
    rmSync(join(output, "rows.jsonl"), { force: true });
  }
}

const earlierReport = (file: string) => JSON.parse(readFileSync(file, "utf8")) as DataTrainingReport;

async function modelFiles(
  { model, offline, listener }: DataTrainingOptions,
  { device, chat_template, max_length }: DataTrainingSettings,
): Promise<ModelFiles> {
  const recipe = {
    model,
    precision: "fp32" as const,
    device,
    ...(chat_template === undefined ? {} : { chat_template }),
  };
  const files = conversational(
    await findModel(recipe, {
      baseFolder: process.cwd(),
      progress: fetchProgress(listener, "train"),
      ...(offline === undefined ? {} : { offline }),
    }),
  );
  const positions = files.config.max_position_embeddings;
  if (typeof positions === "number" && positions < max_length)
    listener.notice(`max_length is ${max_length}, and ${files.label} was trained for ${positions} positions`);
  return files;
}

interface MicroBatchQuestion {
  readonly recipe: OptimisationRecipe;
  readonly config: LoadedModel["decoder"]["config"];
  readonly longest: number;
  readonly device: string;
  readonly dtype: "bfloat16" | "float32";
  readonly inputs: string;
}

/** Tokens a micro-batch; what `auto` comes to is told, and kept for this training, so that going on computes the same figures. */
async function microBatchTokens(question: MicroBatchQuestion, ledger: Ledger, listener: Listener): Promise<number> {
  const { recipe, dtype, inputs } = question;
  if (recipe.micro_batch_tokens !== "auto") return recipe.micro_batch_tokens;
  const [of, kept] = ((await ledger.meta.get("micro_batch_tokens")) ?? "").split(" ");
  if (of === inputs) return Number(kept);
  const compute = dtype === "bfloat16" ? "bf16" : "fp32";
  const { tokens, reason } = autoMicroBatchTokens({ ...question, compute });
  await ledger.meta.set("micro_batch_tokens", `${inputs} ${tokens}`);
  listener.notice(`micro_batch_tokens: auto is ${tokens} (${reason})`);
  return tokens;
}

interface Trainable<Item> {
  readonly task: TrainingTask<Item>;
  readonly recipe: ResolvedOptimisation;
  readonly model: LoadedModel;
  readonly inputs: string;
  readonly dtype: "bfloat16" | "float32";
}

async function trainTask<Item>(
  { output, signal, listener, profile }: DataTrainingOptions,
  settings: DataTrainingSettings,
  { task, recipe, model, inputs, dtype }: Trainable<Item>,
): Promise<{ readonly steps: number; readonly last: StepMetrics | null }> {
  const { seed, logging } = settings;
  const place = paths(output);
  let last: StepMetrics | null = null;
  const logged = { metrics: place.metrics, label: "train", name: basename(output), inputs, config: settings };
  const summary = await withSinks(logging, logged, (write) =>
    train(model.decoder, task, {
      recipe,
      seed,
      dtype,
      inputs,
      checkpoints: place.checkpoints,
      metrics: place.metrics,
      ...(profile ? { profile: place.profile } : {}),
      signal,
      onStep(metrics, total) {
        last = metrics;
        write(metrics);
        const figures = shownFigures(metrics);
        const label = settings.objective;
        listener.progress({ stage: "train", label, done: metrics.step, total, unit: "steps", figures });
      },
      onNotice: (line) => listener.notice(line),
    }),
  );
  if (!summary.finished) throw new Interrupted("stopped; the same command goes on from the checkpoint");
  return { steps: summary.steps, last };
}

function writeWhole(file: string, text: string): void {
  writeFileSync(`${file}.partial`, text);
  renameSync(`${file}.partial`, file);
}
