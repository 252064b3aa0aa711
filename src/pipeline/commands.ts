import { LedgerError } from "../schema/index.ts";
import { aboutMinutes, estimateSeconds, memoryWarning } from "./estimate.ts";
import { type StageName, stageNames } from "./events.ts";
import type { Run } from "./run.ts";
import { runStages, stageInputs } from "./stages.ts";

/** The stages behind each command: the first belongs to the sources and the tuning, the second to the tuned target. */
const stagesOf = {
  sample: ["sample", "sample_target"],
  score: ["score", "score_target"],
  select: ["select_sft", "select_quadruples"],
  train: ["sft", "wrpo"],
  evaluate: ["evaluate", "report"],
} as const satisfies Record<string, readonly StageName[]>;

/** A command that does a part of a run. */
export type StageCommand = keyof typeof stagesOf;

const commandOf = (stage: StageName): StageCommand =>
  (Object.keys(stagesOf) as StageCommand[]).find((name) => (stagesOf[name] as readonly StageName[]).includes(stage))!;

/** The stages of a command whose forerunners are all done, or stand in the command itself. */
export function readyStages(command: StageCommand, done: ReadonlySet<StageName>): StageName[] {
  const ready: StageName[] = [];
  for (const stage of stagesOf[command]) {
    const before = stageNames.slice(0, stageNames.indexOf(stage));
    if (before.every((name) => done.has(name) || ready.includes(name))) ready.push(stage);
  }
  return ready;
}

/** The command that takes the run further; undefined when all is done. */
export function nextCommand(done: ReadonlySet<StageName>): StageCommand | undefined {
  const open = stageNames.find((name) => !done.has(name));
  return open === undefined ? undefined : commandOf(open);
}

/** The stages that the ledger has as done with what the recipe now says of them. */
export async function doneStages({ ledger, resolved }: Pick<Run, "ledger" | "resolved">): Promise<Set<StageName>> {
  const done = new Set<StageName>();
  for (const name of stageNames) if (await ledger.stages.isDone(name, stageInputs(resolved, name))) done.add(name);
  return done;
}

/** The whole way: every stage in order, those that are done before in no time. Says first how long that may take. */
export async function runAll(run: Run): Promise<void> {
  if ((await doneStages(run)).size === 0) {
    run.listener.notice(
      `the whole run takes ${aboutMinutes(await estimateSeconds(run))} on this machine, by its measured speed`,
    );
    const warning = await memoryWarning(run);
    if (warning !== undefined) run.listener.notice(warning);
  }
  await runStages(run, stageNames);
}

/**
 * Does whatever of a command is ready, and returns the command that comes next (undefined when the run is complete).
 *
 * @throws LedgerError naming the command that comes first, when nothing is ready.
 */
export async function runCommand(run: Run, command: StageCommand): Promise<StageCommand | undefined> {
  const before = await doneStages(run);
  const ready = readyStages(command, before);
  if (ready.length === 0) {
    const first = nextCommand(before)!;
    throw new LedgerError(`nothing is ready for \`${command}\` yet`, {
      file: run.folder,
      hint: `First comes: amalgam ${first} ${run.folder}. \`amalgam run\` does all in order.`,
    });
  }
  await runStages(run, ready);
  return nextCommand(await doneStages(run));
}
