import { existsSync, rmSync, statfsSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { formatBytes, type ModelFiles } from "../models/index.ts";
import { LedgerError, looksAtTarget } from "../schema/index.ts";
import { type Draw, type Garbage, type Needed, readLedger } from "../store/index.ts";
import { referenceOwner, staleCheckpoints } from "../training/index.ts";
import { doneStages } from "./commands.ts";
import { comparisonInputs, type EvaluatedModel, evaluationDraws, madeFiles } from "./evaluating.ts";
import { type StageName, stageNames } from "./events.ts";
import { logProbInputs } from "./log-prob-evaluation.ts";
import { keepsCheckpoints } from "./model-training.ts";
import { logProbEvaluation } from "./report/log-probs.ts";
import { comparisonEvaluation } from "./report/stored-evaluation.ts";
import { openRun, type Run, type RunOptions, runPaths } from "./run.ts";
import { asDraws, type PlannedDraw, sourceDraws, targetDraws } from "./sampling.ts";
import { openReward } from "./scoring.ts";
import { stageInputs } from "./stages.ts";
import { isSweep, sweepStatus } from "./sweep/status.ts";
import { comparedModels, trainingsOf } from "./trainings.ts";
import { tuningDigest } from "./tuning.ts";

export interface CollectOptions extends Pick<RunOptions, "folder" | "signal" | "listener" | "offline"> {
  /** Only say what would be removed. */
  readonly dryRun: boolean;
}

export interface Collected {
  readonly removed: readonly Garbage[];
  /** Paths of files and folders, from the run folder. */
  readonly files: readonly string[];
  /** Bytes of the ledger's file, where it was made smaller. */
  readonly size?: { readonly before: number; readonly after: number };
}

/**
 * Removes what the recipe of a run no longer refers to, however far the run is: responses, scores, reference log-probs and
 * evaluations of earlier settings, in one commit; checkpoints that no training goes on from, and the files of a stage that is off.
 * Then gives the space back. What hangs on a model that is still to be made stays.
 *
 * @throws LedgerError where the sweep that the run belongs to is not done, or a process works on it.
 */
export async function collectRun(options: CollectOptions): Promise<Collected> {
  const folder = resolve(options.folder);
  await refuseInSweep(folder);
  // Where there is no run, none is begun.
  await (await readLedger(folder)).close();
  const run = await openRun({ ...options, folder });
  try {
    const done = leading(await doneStages(run));
    const files = [...orphans(run), ...(await staleIn(run, done))].map((path) => relative(folder, path));
    const removed = await run.ledger.collect(await neededBy(run, done), !options.dryRun);
    if (options.dryRun) return { removed, files };
    for (const path of files) rmSync(resolve(folder, path), { recursive: true, force: true });
    await forgetOthers(run);
    const size = removed.length === 0 ? undefined : await givenBack(run, removed);
    return { removed, files, ...(size === undefined ? {} : { size }) };
  } finally {
    await run.close();
  }
}

/** A variant that has not begun may begin as a copy of another, with all that this has. */
async function refuseInSweep(folder: string): Promise<void> {
  const sweep = dirname(folder);
  if (!isSweep(sweep)) return;
  const open = (await sweepStatus(sweep)).variants.find(({ state }) => state !== "done");
  if (open === undefined) return;
  throw new LedgerError(`the variant ${open.name} of this run's sweep is not done, and may need what this one has`, {
    file: sweep,
    hint: "Let the sweep end first.",
  });
}

type Done = ReadonlySet<StageName>;

/** Those of the stages that are done before one that is not: what comes after it may have to be done again. */
const leading = (done: Done): Done =>
  new Set(stageNames.filter((_, index) => stageNames.slice(0, index + 1).every((name) => done.has(name))));

/** What stages did with other settings is gone: who goes back to these has them to do. */
async function forgetOthers({ ledger: { stages }, resolved }: Run): Promise<void> {
  const records = await Promise.all(stageNames.map(async (name) => [name, await stages.get(name)] as const));
  await stages.forget(
    records.flatMap(([name, record]) =>
      record !== undefined && record.inputs !== stageInputs(resolved, name) ? [name] : [],
    ),
  );
}

async function neededBy(run: Run, done: Done): Promise<Needed> {
  const reward = await openReward(run);
  await reward.close();
  const { meta } = run.ledger;
  const named = await Promise.all(
    (
      [
        [comparisonEvaluation, comparisonInputs],
        [logProbEvaluation, logProbInputs],
      ] as const
    ).map(async ([name, of]) => ({ name, inputs: (await meta.get(of)) ?? "" })),
  );
  const made = await madeFiles(run);
  const models = [...made.values()].flatMap(({ digest }) =>
    (["float32", "bfloat16"] as const).map((dtype) => referenceOwner(digest, dtype)),
  );
  return {
    reward: reward.identity,
    // A model that is not made yet, or lies with another worker, may have some.
    models: comparedModels(run.recipe).every((label) => made.has(label)) ? models : undefined,
    evaluations: named,
    draws: await askedBy(run, done, made),
  };
}

/**
 * What stages ask for that are not done with the recipe as it stands. One that asked for something else before asks for this from
 * now on, where the model that it asks is the one that it will be; else it is returned, to be kept beside the other.
 */
async function askedBy(run: Run, done: Done, made: ReadonlyMap<EvaluatedModel, ModelFiles>): Promise<Draw[]> {
  const { ledger, recipe } = run;
  const begun = new Set((await ledger.drawStatus()).map(({ stage }) => stage));
  const kept: Draw[] = [];
  const ask = async (label: string, draws: readonly PlannedDraw[], final: boolean) => {
    if (begun.has(label) && final) await ledger.responses.declare(label, asDraws(draws));
    else kept.push(...asDraws(draws));
  };
  const isFinal = (model: EvaluatedModel) => model === "untuned" || done.has(model);
  if (!done.has("sample")) await ask("sources", await sourceDraws(run), true);
  const starting = recipe.sft.enabled ? "sft" : "untuned";
  const start = made.get(starting);
  if (!done.has("sample_target") && start !== undefined && looksAtTarget(recipe.selection))
    await ask("target", targetDraws(run, start), isFinal(starting));
  if (done.has("evaluate")) return kept;
  if (!recipe.sft.enabled) await ledger.responses.declare("evaluation/sft", []);
  for (const [model, files] of made) await ask(`evaluation/${model}`, evaluationDraws(run, files), isFinal(model));
  return kept;
}

/** Checkpoints that no training of the run goes on from. */
async function staleIn(run: Run, done: Done): Promise<string[]> {
  const stale: string[] = [];
  for (const stage of trainingsOf(run.recipe)) {
    const folder = runPaths(run.folder).checkpoints(stage);
    if (!existsSync(folder)) continue;
    if (done.has(stage) && !keepsCheckpoints(run.recipe[stage])) {
      stale.push(folder);
      continue;
    }
    const isReady = done.has(stageNames[stageNames.indexOf(stage) - 1]!);
    stale.push(...staleCheckpoints(folder, isReady ? await tuningDigest(run, stage) : undefined));
  }
  return stale;
}

/** What a recipe without supervised tuning has no use for. */
function orphans({ folder, recipe }: Run): string[] {
  if (recipe.sft.enabled) return [];
  const paths = runPaths(folder);
  return [paths.sftModel, paths.checkpoints("sft"), paths.metrics("sft"), paths.profile("sft")].filter((path) =>
    existsSync(path),
  );
}

/** Makes the ledger's file smaller, where the disk has the room that this takes. */
async function givenBack({ folder, ledger, listener }: Run, removed: readonly Garbage[]): Promise<Collected["size"]> {
  const before = await ledger.fileSize();
  if (before !== undefined) {
    const { bavail, bsize } = statfsSync(folder);
    // A copy, and the log from which it is written back.
    const room = 2 * before.used;
    if (bavail * bsize < room) {
      listener.notice(
        `the ledger's file stays as large as it is, and later rows take the space: to make it smaller takes ${formatBytes(room)} meanwhile, and the disk has ${formatBytes(bavail * bsize)}`,
      );
      return undefined;
    }
  }
  await ledger.compact(removed.map(({ table }) => table));
  const after = await ledger.fileSize();
  return before === undefined || after === undefined ? undefined : { before: before.bytes, after: after.bytes };
}
