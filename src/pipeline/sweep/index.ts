import { resolve } from "node:path";
import { describeError, LedgerError, loadSweep } from "../../schema/index.ts";
import { hasLedger, holdFolder } from "../../store/index.ts";
import { runAll } from "../commands.ts";
import { explainDisk } from "../disk.ts";
import { aboutMinutes } from "../estimate.ts";
import { type Listener, type StageName, stageNames } from "../events.ts";
import { Interrupted, openRun } from "../run.ts";
import { doneAlike, type PlannedVariant, planSweep } from "./plan.ts";
import { gatherResults, ownSeconds } from "./results.ts";
import { seedVariant } from "./seed.ts";
import { type SweepReport, writeSweep } from "./write.ts";

export interface SweepOptions {
  /** The sweep's file. */
  readonly file: string;
  /** Where the runs of its variants go, each into a folder of its name; made where there is none. */
  readonly folder: string;
  /** In place of the recipe that the sweep names. */
  readonly recipeFile?: string;
  /** `a.b=c`, for all variants. */
  readonly overrides?: readonly string[];
  readonly signal: AbortSignal;
  readonly listener: Listener;
  /** Fetch nothing. */
  readonly offline?: boolean;
}

/**
 * Runs the variants of a sweep one after another, each as an ordinary run in a folder of its own, and writes `sweep.json` and
 * `sweep.html` about them. What the stages of one variant have done is never done again by another that has the same: its run
 * begins as a copy. Stopped or killed at any moment, the same call goes on. A variant that fails is told and keeps what it has;
 * the others go on.
 *
 * @throws RecipeError for a mistake in the sweep or in a variant's recipe, before anything is computed; LedgerError where the
 * folder is in use, is a run or can't be made; Interrupted when the signal stopped it.
 */
export async function runSweep(options: SweepOptions): Promise<SweepReport> {
  const { signal, listener } = options;
  const folder = resolve(options.folder);
  const sweep = loadSweep(options.file, {
    ...(options.recipeFile === undefined ? {} : { recipeFile: options.recipeFile }),
    overrides: options.overrides ?? [],
  });
  refuseRun(folder);
  const variants = planSweep(sweep, folder);
  const hold = holdFolder(folder);
  try {
    const errors = new Map<string, string>();
    const report = async () => writeSweep(folder, sweep, await gatherResults(variants, errors));
    await report();
    for (const [index, variant] of variants.entries()) {
      if (signal.aborted) throw new Interrupted("stopped; the same command goes on from here");
      if ((await doneAlike(variant.folder, variant)).length === stageNames.length) continue;
      try {
        await runVariant({ ...options, recipeFile: sweep.recipeFile }, variants, index);
      } catch (error) {
        if (signal.aborted || error instanceof Interrupted) throw error;
        const told = describeError(explainDisk(error, variant.folder));
        errors.set(variant.name, told);
        listener.notice(
          `the variant ${variant.name} failed, and the others go on: ${told.replaceAll(/\s*\n\s*/g, " ")}`,
        );
      }
      await report();
    }
    return await report();
  } finally {
    hold.release();
  }
}

/** A run's folder can't be a sweep's as well. */
function refuseRun(folder: string): void {
  if (!hasLedger(folder)) return;
  throw new LedgerError("this is the folder of a run, and a sweep wants one of its own", {
    file: folder,
    hint: "Name another folder: the variants' runs go into folders inside it.",
  });
}

type Running = SweepOptions & { readonly recipeFile: string };

async function runVariant(options: Running, variants: readonly PlannedVariant[], index: number): Promise<void> {
  const { signal, listener, offline } = options;
  const variant = variants[index]!;
  const seed = await seedVariant(variant, variants.toSpliced(index, 1));
  const place = `${index + 1} of ${variants.length}`;
  const shared =
    seed === undefined || seed.stages.length === 0 ? "" : `; ${seed.stages.length} stages as in ${seed.from}`;
  const left = await secondsLeft(variants, index);
  const time = left === undefined ? "" : `; ${aboutMinutes(left)} left for all`;
  listener.notice(`variant ${place}, ${variant.name}${shared}${time}`);
  const run = await openRun({
    folder: variant.folder,
    recipeFile: options.recipeFile,
    overrides: variant.overrides,
    signal,
    listener: within(listener, `${variant.name}, ${place}`),
    ...(offline === undefined ? {} : { offline }),
  });
  try {
    await runAll(run);
  } finally {
    await run.close();
  }
}

/** Says beside every progress which variant it is of. */
const within = (listener: Listener, variant: string): Listener => ({
  stageStarted: (stage) => listener.stageStarted(stage),
  stageFinished: (stage, outcome) => listener.stageFinished(stage, outcome),
  notice: (line) => listener.notice(line),
  progress: (progress) => listener.progress({ ...progress, label: `${progress.label} (${variant})` }),
});

/**
 * Seconds that this variant and those after it will take, by what their stages took the variant that did them last; undefined
 * before any was done. A stage that an earlier variant does as well takes none.
 */
async function secondsLeft(variants: readonly PlannedVariant[], index: number): Promise<number | undefined> {
  const took: Partial<Record<StageName, number>> = {};
  const covered = new Set<string>();
  for (const { folder, inputs } of variants.slice(0, index)) {
    Object.assign(took, await ownSeconds(folder));
    for (const stage of stageNames) covered.add(inputs[stage]);
  }
  if (Object.keys(took).length === 0) return undefined;
  let seconds = 0;
  for (const { inputs } of variants.slice(index)) {
    for (const stage of stageNames) {
      if (!covered.has(inputs[stage])) seconds += took[stage] ?? 0;
      covered.add(inputs[stage]);
    }
  }
  return seconds;
}
