import { readFileSync, rmSync } from "node:fs";
import { basename, resolve } from "node:path";
import { stringify } from "yaml";
import { filesOfAll } from "../../data/index.ts";
import { disposeModel, findModel, type ModelFiles } from "../../models/index.ts";
import { sourceResponsesOf } from "../../preferences/index.ts";
import {
  AmalgamError,
  contentKey,
  type DataTrainingSettings,
  dataTrainingSettings,
  explainMemory,
  type OptimisationRecipe,
  replaceFile,
  TrainingError,
} from "../../schema/index.ts";
import { type Ledger, openLedger } from "../../store/index.ts";
import { decisiveFields, type LengthLimits, lazyRows, type TrainingSummary } from "../../training/index.ts";
import { explainDisk } from "../disk.ts";
import type { Listener } from "../events.ts";
import { loadForTraining } from "../lora.ts";
import { withMicroBatchTokens } from "../micro-batches.ts";
import { computeTypes, trainModel, unlessMade } from "../model-training.ts";
import { checkInterrupted, conversational, fetchProgress } from "../run.ts";
import { checkTraining } from "../trainings.ts";
import { type DataMethod, methodOf } from "./method.ts";
import { partRows } from "./parts.ts";
import { outputPaths, refuseAmongData, refuseOverwriting } from "./paths.ts";
import { storedReference } from "./reference.ts";
import { countLines, countRows, type DataTrainingReport, dataTrainingCard, reportMarks } from "./report.ts";
import { type ReadData, readData } from "./rows.ts";

export interface DataTrainingOptions {
  /** Data files, and folders of data sets; their formats are recognised by their fields. */
  readonly data: readonly string[];
  /** Of folders: their split. `train` of several where none is named. */
  readonly split?: string | undefined;
  /** The same, whose rows are not learnt but evaluated on. */
  readonly evalData?: readonly string[];
  /** Of these folders: their split. `test` of several where none is named. */
  readonly evalSplit?: string | undefined;
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
  const settings = dataTrainingSettings(options.objective, options.settings, (options.evalData ?? []).length > 0);
  const output = resolve(options.output);
  const { evalData: named = [], split, evalSplit } = options;
  refuseOverwriting(output, [...options.data, ...named, options.model]);
  refuseAmongData(output, [...options.data, ...named]);
  const data = filesOfAll(options.data, { split });
  const evalData = filesOfAll(named, { split: evalSplit, usual: "test" });
  const ledger = await openLedger(outputPaths(output).ledger);
  options.listener.stageStarted("train");
  const began = performance.now();
  try {
    const report = await trained({ ...options, data, evalData, output }, settings, ledger, began);
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

/** The recipe of the training; nothing is sampled in its evaluations, as there is no reward to score samples by. */
function recipeOf(settings: DataTrainingSettings): OptimisationRecipe {
  const { device: _, chat_template: __, unusable: ___, logging: ____, seed: _____, ...recipe } = settings;
  return { ...recipe, evaluation_samples: 0 };
}

/** Tokens of rows that are kept, those that were looked at last: more than a batch, however large its rows are. */
const keepTokens = 1 << 22;

async function trained(
  options: DataTrainingOptions,
  settings: DataTrainingSettings,
  ledger: Ledger,
  began: number,
): Promise<DataTrainingReport> {
  const { evalData = [], output } = options;
  const place = outputPaths(output);
  const method = methodOf(settings, await sourceResponsesOf(options.data));
  const data = await readData({ ...options, evalData, wanted: method.wanted, unusable: settings.unusable });
  try {
    const files = await modelFiles(options, settings);
    checkTraining(recipeOf(settings), files.decoderConfig);
    const { max_length, max_prompt_length, overlong, seed } = settings;
    const limits = { max_length, max_prompt_length, overlong, tokenisation: method.tokenisation };
    const tokens = contentKey({ rows: [data.rows.digest, data.training], tokenizer: files.tokenizer.files(), limits });
    const { dtype } = computeTypes(settings.precision, settings.device);
    const asked = recipeOf(settings);
    const inputs = contentKey({ tokens, model: files.digest, recipe: decisiveFields(asked), seed, dtype });
    const made = { ledger, name: "model", inputs, made: [place.model, place.report], recipe: asked };
    const report = await unlessMade({ ...made, checkpoints: place.checkpoints }, () =>
      making(options, settings, { method, data, files, limits, tokens, inputs, ledger, began }),
    );
    return report ?? { ...earlierReport(place.report), doneBefore: true };
  } finally {
    data.rows.close();
    rmSync(place.rows, { force: true });
  }
}

interface Making {
  readonly method: DataMethod;
  readonly data: ReadData;
  readonly files: ModelFiles;
  readonly limits: LengthLimits;
  /** Digests of the rows as tokens, and of all that decides the model. */
  readonly tokens: string;
  readonly inputs: string;
  readonly ledger: Ledger;
  readonly began: number;
}

async function making(
  options: DataTrainingOptions,
  settings: DataTrainingSettings,
  { method, data, files, limits, tokens, inputs, ledger, began }: Making,
): Promise<DataTrainingReport> {
  const { output, signal, listener } = options;
  const place = outputPaths(output);
  const { seed, device, unusable, max_length } = settings;
  const { compute, dtype } = computeTypes(settings.precision, device);
  const noted = method.referenceInputs(tokens, files.digest, dtype);
  const stored = noted === undefined ? undefined : storedReference(place.reference, noted);
  const known = stored === undefined ? {} : { known: stored.known };
  const rows = lazyRows(data.rows, { tokenizer: files.tokenizer, limits, unusable, keepTokens, ...known });
  const around = { data, rows, signal, listener };
  const parts = await partRows({ ...around, settings });
  const { data: dataFiles, evalData = [], model: named } = options;
  replaceFile(place.settings, stringify({ data: dataFiles, eval_data: evalData, model: named, ...settings }));
  const asked = recipeOf(settings);
  const model = loadForTraining(files, asked, device);
  try {
    const recipe = await withMicroBatchTokens(
      { ledger, listener },
      {
        ...{ training: "train", recipe: asked, config: model.decoder.config, compute, device, inputs },
        longest: max_length * method.responses,
      },
    );
    const reference = { file: place.reference, inputs: noted ?? "", stored };
    const given = { ...around, model, recipe, dtype, ledger, reference };
    const report = await method.withTask(parts, given, async ({ task, rowsOf, order }) => {
      for (const line of countLines(data, rows)) listener.notice(line);
      const counted = ({ batches }: TrainingSummary) =>
        countRows(data, rows, { heldOut: parts.heldOut, batches, rowsOf });
      const card = { base: files.label, digest: files.digest, settings, files: data.files };
      const { summary, last, evaluation } = await trainModel(options, {
        stage: "train",
        words: { progress: settings.objective, label: "train", name: basename(output) },
        ...{ recipe, model, files, base: files.path, task, inputs, seed, dtype },
        ...{ checkpoints: place.checkpoints, metrics: place.metrics, target: place.model },
        ...(options.profile ? { profile: place.profile } : {}),
        ...(order === undefined ? {} : { order }),
        ...{ logging: settings.logging, config: settings },
        card: (done) => dataTrainingCard({ ...card, rows: counted(done.summary).rows }),
      });
      return {
        ...{ objective: settings.objective, model: place.model, doneBefore: false, files: data.files },
        ...counted(summary),
        ...{ steps: summary.steps, skippedSteps: summary.skipped },
        ...{ last: last ?? null, evaluation: evaluation ?? null },
        ...(summary.best === undefined ? {} : { bestStep: summary.best }),
        seconds: (performance.now() - began) / 1000,
      };
    });
    replaceFile(place.report, `${JSON.stringify(report, null, 2)}\n`);
    return report;
  } finally {
    disposeModel(model);
  }
}

function earlierReport(file: string): DataTrainingReport {
  try {
    const stored: unknown = JSON.parse(readFileSync(file, "utf8"));
    reportMarks.parse(stored);
    return stored as DataTrainingReport;
  } catch (cause) {
    throw new TrainingError("the model stands, and its report can't be read", {
      file,
      cause,
      hint: "The report is damaged. Remove it, and the same command makes the model anew.",
    });
  }
}

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
