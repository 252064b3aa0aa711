import { AmalgamError, contentKey, explainMemory, looksAtTarget, type Recipe } from "../schema/index.ts";
import { explainDisk } from "./disk.ts";
import { evaluateSuites } from "./evaluate/in-run.ts";
import { evaluateModels } from "./evaluating.ts";
import { type StageName, stageNames } from "./events.ts";
import { evaluateLogProbs } from "./log-prob-evaluation.ts";
import { recordingListener } from "./recording.ts";
import { reportRun } from "./reporting.ts";
import { checkInterrupted, Interrupted, type Run } from "./run.ts";
import { drawMissing, sampleSources, targetDraws } from "./sampling.ts";
import { scoreLabel } from "./scoring.ts";
import { selectForSft, selectForWrpo, selectNothingForSft } from "./selecting.ts";
import { startingFiles, tuneSft, tuneWrpo } from "./tuning.ts";

/** What a stage did, in counts; undefined when nothing was left to do. */
type Outcome = Record<string, number> | undefined;

/** n responses of the model that WRPO starts from, the tuned target, to the prompts of the preference split (paper section 3.3). */
export async function sampleTarget(run: Run): Promise<Record<string, number>> {
  const draws = targetDraws(run, await startingFiles(run));
  return drawMissing(run, { stage: "sample_target", label: "target", draws });
}

/** The comparison of the models, how probable they find what WRPO learnt from, and the suites. */
async function evaluate(run: Run): Promise<Outcome> {
  const compared = await evaluateModels(run);
  const logProbs = run.recipe.evaluation.log_probs ? await evaluateLogProbs(run) : undefined;
  const suites = await evaluateSuites(run);
  if (compared === undefined && logProbs === undefined && suites === undefined) return undefined;
  return { ...compared, ...logProbs, ...suites };
}

/** The stages by name: each reads what those before left in the run folder, and can be run alone. */
const stages: Readonly<Record<StageName, (run: Run) => Promise<Outcome>>> = {
  sample: sampleSources,
  score: (run) => scoreLabel(run, "score", "sources"),
  select_sft: selectForSft,
  sft: tuneSft,
  sample_target: sampleTarget,
  score_target: (run) => scoreLabel(run, "score_target", "target"),
  select_quadruples: selectForWrpo,
  wrpo: tuneWrpo,
  evaluate: evaluate,
  report: reportRun,
};

/** Stages that several workers on one ledger share; all others are one worker's at a time. */
const sharedStages: readonly StageName[] = ["sample", "score", "score_target"];

/** What of the recipe each stage adds to what those before depend on. */
const recipeParts: Readonly<Partial<Record<StageName, (recipe: Recipe) => unknown>>> = {
  sample: ({ seed, prompts, sources, sampling, selection, sft }) => [
    ...[seed, prompts, sources, sampling, selection.sft_share],
    ...(sft.enabled ? [] : ["no supervised tuning"]),
  ],
  score: ({ rewards }) => rewards,
  select_sft: ({ selection }) => selection,
  sft: ({ target, sft }) => [target, sft.enabled ? sft : null],
  wrpo: ({ wrpo }) => wrpo,
  evaluate: ({ evaluation }) => evaluation,
  report: ({ name }) => name,
};

/** Digest of the parts of a resolved recipe that a stage depends on. */
export function stageInputs(recipe: Recipe, name: StageName): string {
  const upTo = stageNames.slice(0, stageNames.indexOf(name) + 1);
  return contentKey(upTo.map((stage) => recipeParts[stage]?.(recipe) ?? null));
}

const isSkipped = (outcome: Outcome): boolean =>
  outcome === undefined || (Object.keys(outcome).length > 0 && Object.values(outcome).every((count) => count === 0));

/**
 * Runs these stages in order. Whatever was done before is not done again; a stage that was killed goes on.
 *
 * @throws Interrupted when the signal stopped it; else the stage's error, after it was noted in the ledger.
 */
export async function runStages(run: Run, names: readonly StageName[]): Promise<void> {
  const { listener } = run;
  for (const name of names) {
    checkInterrupted(run);
    if (isOff(run.recipe, name)) {
      await passOver(run, name);
      continue;
    }
    listener.stageStarted(name);
    const began = performance.now();
    const skipped = await runStage(run, name);
    listener.stageFinished(name, { seconds: (performance.now() - began) / 1000, skipped });
  }
}

/** Whether a recipe goes without this stage. */
function isOff({ sft, selection }: Recipe, name: StageName): boolean {
  if (name === "select_sft" || name === "sft") return !sft.enabled;
  return (name === "sample_target" || name === "score_target") && !looksAtTarget(selection);
}

/** Keeps in the ledger that there is nothing to do: the stages after this one are ready. */
async function passOver(run: Run, name: StageName): Promise<void> {
  const { stages: records } = run.ledger;
  const inputs = stageInputs(run.resolved, name);
  if (await records.isDone(name, inputs)) return;
  if (name === "select_sft") {
    await selectNothingForSft(run);
    run.listener.notice("no supervised tuning (sft.enabled is false): WRPO starts from the target as it is");
  }
  if (name === "sample_target") {
    // What an earlier recipe of this folder asked of the target counts no longer.
    await run.ledger.responses.declare("target", []);
    run.listener.notice("no responses of the target (selection.rows is pairs): both of a pair are the sources'");
  }
  await records.start(name, inputs, { total: 0, done: 0 });
  await records.finish(name, { off: true });
}

/** Runs one stage and keeps in the ledger how it went; a stage that had nothing to do keeps the record that it had. */
async function runStage(run: Run, name: StageName): Promise<boolean> {
  const { stages: records } = run.ledger;
  const inputs = stageInputs(run.resolved, name);
  const before = await records.get(name);
  await records.start(name, inputs, { total: before?.total ?? 0, done: before?.done ?? 0 });
  const recording = recordingListener(records, name, inputs, run.listener);
  let outcome: Outcome;
  try {
    const work = () => stages[name]({ ...run, listener: recording });
    outcome = await (sharedStages.includes(name) ? work() : run.ledger.exclusively(name, work));
    await recording.settle();
  } catch (error) {
    await recording.settle().catch(() => {});
    // Whatever a cut-off connection or computation throws, it was the user who stopped it.
    if (run.signal.aborted && !(error instanceof AmalgamError)) checkInterrupted(run);
    // A full disk may leave no room for that either; the stage's own error counts.
    if (!(error instanceof Interrupted)) await records.fail(name, {}).catch(() => {});
    throw explainDisk(explainMemory(error, memoryCure(run.recipe, name)), run.folder);
  }
  const skipped = isSkipped(outcome);
  const kept = skipped && before?.state === "done" && before.counts.off !== true;
  await records.finish(name, kept ? before.counts : (outcome ?? {}));
  return skipped;
}

/** What of a recipe makes a stage take less memory. */
function memoryCure(recipe: Recipe, name: StageName): string {
  if (name !== "sft" && name !== "wrpo") return "Take smaller models, or set their precision to bf16";
  const { micro_batch_tokens, activation_checkpointing } = recipe[name];
  const lower =
    micro_batch_tokens === "auto"
      ? `Set ${name}.micro_batch_tokens to a number below what auto came to`
      : `Lower ${name}.micro_batch_tokens (now ${micro_batch_tokens})`;
  const checkpointing = activation_checkpointing === "layer" ? "" : `, set ${name}.activation_checkpointing: layer`;
  return `${lower}${checkpointing}, train adapters only (${name}.lora), take a smaller target`;
}
