import { basename } from "node:path";
import {
  AmalgamError,
  type DataError,
  EnvironmentError,
  loadRecipe,
  type Recipe,
  replaceFile,
} from "../../schema/index.ts";
import { readLedger } from "../../store/index.ts";
import type { Listener } from "../events.ts";
import { checkInterrupted, runPaths } from "../run.ts";
import { fileRecords, placeWords } from "./file-records.ts";
import { inspectPage } from "./page.ts";
import type { Shown } from "./record.ts";
import { rewardShown, runRecords } from "./run-records.ts";
import { type InspectFilter, looksInside, matches, mayMatch, type Sampling, sampler } from "./selecting.ts";
import { recordText } from "./text.ts";

export interface InspectOptions {
  /** A run folder, or data: a file, or a data set's folder. */
  readonly path: string;
  readonly kind: "run" | "data";
  /** Of a data set's folder: its split. */
  readonly split?: string | undefined;
  readonly filter: InspectFilter;
  readonly sample?: Sampling | undefined;
  /** Most prompts; all without, and 1,000 on a page. */
  readonly limit?: number | undefined;
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

/** Prompts on a page where nothing else is said. */
const pageLimit = 1000;

/**
 * The prompts of a run, which may be going on, or of data, that a filter lets through, each as plain text for the
 * terminal; read as they are asked for.
 *
 * @throws LedgerError where there is no run; DataError where the file can't be read; Interrupted on an abort
 */
export async function* inspectTexts(options: InspectOptions): AsyncGenerator<string> {
  let shown = 0;
  for await (const record of recordsOf(options)) {
    yield recordText(record);
    shown += 1;
    if (shown === options.limit) return;
  }
}

/**
 * The same as one page, which needs no network. What doesn't fit is counted on it.
 *
 * @throws EnvironmentError where the page can't be written
 */
export async function inspectToPage(
  options: InspectOptions,
  file: string,
): Promise<{ readonly embedded: number; readonly leftOut: number }> {
  const page = inspectPage(options.limit ?? pageLimit);
  for await (const record of recordsOf(options)) page.add(record);
  const content = page.html(`${options.kind === "run" ? "Run" : "Data"} ${basename(options.path)}`);
  try {
    replaceFile(file, content);
  } catch (cause) {
    throw new EnvironmentError(`the page can't be written: ${(cause as Error).message}`, {
      file,
      cause,
      hint: "Check that the folder is there, that you may write to it, and that the disk has room.",
    });
  }
  return { embedded: page.embedded, leftOut: page.leftOut };
}

async function* recordsOf(options: InspectOptions): AsyncGenerator<Shown> {
  const { kind, filter, sample } = options;
  const source = kind === "run" ? ofRun(options) : ofData(options);
  const drawn = sample === undefined ? undefined : sampler<Shown>(sample);
  let read = 0;
  for await (const record of source) {
    checkInterrupted(options);
    read += 1;
    if (read % 64 === 0)
      options.listener.progress({ stage: "inspect", label: "prompts", done: read, total: 0, unit: "prompts" });
    if (!matches(filter, record)) continue;
    if (drawn === undefined) yield record;
    else drawn.add(record.id, record);
  }
  if (drawn !== undefined) yield* drawn.items();
}

async function* ofRun({ path, filter, sample, listener }: InspectOptions): AsyncGenerator<Shown> {
  const reader = await readLedger(path);
  try {
    const { reward, others } = await rewardShown(reader);
    if (others.length > 0)
      listener.notice(
        `the rewards are those of ${reward!.slice(0, 12)}, which scored the most; the ledger has scores of ${others.length} others, too`,
      );
    let prompts = (await reader.prompts.list()).filter((prompt) => mayMatch(filter, prompt));
    if (sample !== undefined && !looksInside(filter)) {
      // Who is drawn is known before any response is read.
      const drawn = sampler<(typeof prompts)[number]>(sample);
      for (const prompt of prompts) drawn.add(prompt.id, prompt);
      prompts = drawn.items();
    }
    yield* runRecords(reader, reward, prompts, recipeOf(path));
  } finally {
    await reader.close();
  }
}

/** The recipe of a run folder; a run whose recipe can't be read any more is shown even so. */
function recipeOf(folder: string): Recipe | undefined {
  try {
    return loadRecipe(runPaths(folder).recipe).recipe;
  } catch (error) {
    if (error instanceof AmalgamError) return undefined;
    throw error;
  }
}

async function* ofData({ path, split, listener }: InspectOptions): AsyncGenerator<Shown> {
  let [bad, first] = [0, undefined as DataError | undefined];
  const skip = (error: DataError) => {
    bad += 1;
    first ??= error;
  };
  yield* fileRecords(path, skip, split);
  if (first === undefined) return;
  const { file = path, line = 0 } = first.place;
  listener.notice(
    `${bad} rows break the form and are not shown; the first is ${placeWords(path, { file, line })}: ${first.message}. \`amalgam data check\` names them all.`,
  );
}
