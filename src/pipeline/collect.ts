import { existsSync, rmSync, statfsSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { formatBytes } from "../models/index.ts";
import { LedgerError } from "../schema/index.ts";
import { type Garbage, readLedger } from "../store/index.ts";
import { referenceOwner } from "../training/index.ts";
import { doneStages, nextCommand } from "./commands.ts";
import { comparisonInputs, evaluatedFiles } from "./evaluating.ts";
import { stageNames } from "./events.ts";
import { logProbInputs } from "./log-prob-evaluation.ts";
import { logProbEvaluation } from "./report/log-probs.ts";
import { comparisonEvaluation } from "./report/stored-evaluation.ts";
import { openRun, type Run, type RunOptions, runPaths } from "./run.ts";
import { openReward } from "./scoring.ts";
import { isSweep, sweepStatus } from "./sweep/status.ts";

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
 * Removes what the recipe of a complete run no longer refers to: responses, scores, reference log-probs and evaluations of earlier
 * settings, in one commit; files of a stage that is off. Then gives the space back.
 *
 * @throws LedgerError where the run is not complete with its recipe, the sweep that it belongs to is not, or a process works on it.
 */
export async function collectRun(options: CollectOptions): Promise<Collected> {
  const folder = resolve(options.folder);
  await refuseInSweep(folder);
  const reader = await readLedger(folder);
  const prompts = await reader.meta.get("prompts");
  await reader.close();
  const run = await openRun({ ...options, folder });
  try {
    const done = await doneStages(run);
    if ((await run.ledger.meta.get("prompts")) !== prompts || !stageNames.every((name) => done.has(name)))
      throw new LedgerError(
        "the run is not complete with its recipe and prompts as they stand: what it refers to is not known yet",
        {
          file: folder,
          hint: `First comes: amalgam ${nextCommand(done) ?? "run"} ${folder}. \`amalgam run\` does all in order.`,
        },
      );
    const removed = await run.ledger.collect(await neededBy(run), !options.dryRun);
    const files = orphans(run);
    if (options.dryRun) return { removed, files };
    for (const path of files) rmSync(resolve(folder, path), { recursive: true, force: true });
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

async function neededBy(run: Run) {
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
  const models = (await evaluatedFiles(run)).flatMap(([, { digest }]) =>
    (["float32", "bfloat16"] as const).map((dtype) => referenceOwner(digest, dtype)),
  );
  return { reward: reward.identity, models, evaluations: named };
}

/** What a recipe without supervised tuning has no use for. */
function orphans({ folder, recipe }: Run): string[] {
  if (recipe.sft.enabled) return [];
  const paths = runPaths(folder);
  return [paths.sftModel, paths.checkpoints("sft"), paths.metrics("sft"), paths.profile("sft")]
    .filter((path) => existsSync(path))
    .map((path) => relative(folder, path));
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
