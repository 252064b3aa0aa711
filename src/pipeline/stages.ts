import { AmalgamError, contentKey, explainMemory, type Recipe } from "../schema/index.ts";
import { explainDisk } from "./disk.ts";
import { evaluateModels } from "./evaluating.ts";
import { type StageName, stageNames } from "./events.ts";
import { recordingListener } from "./recording.ts";
import { reportRun } from "./reporting.ts";
import { checkInterrupted, Interrupted, type Run, runPaths } from "./run.ts";
import { drawMissing, lazyModel, sampleSources, samplingOf } from "./sampling.ts";
import { scoreLabel } from "./scoring.ts";
import { selectForSft, selectForWrpo } from "./selecting.ts";
import { tunedFiles, tuneSft, tuneWrpo } from "./tuning.ts";

/** What a stage did, in counts; undefined when nothing was left to do. */
type Outcome = Record<string, number> | undefined;

/** n responses of the tuned target to the prompts of the preference split (paper section 3.3). */
export async function sampleTarget(run: Run): Promise<Record<string, number>> {
  const source = lazyModel("target", await tunedFiles(runPaths(run.folder).sftModel, "sft"), run.recipe.target);
  const sampling = samplingOf(run, {});
  return drawMissing(run, {
    stage: "sample_target",
    label: "target",
    draws: [{ source, sampling, n: run.recipe.sampling.n, splits: ["wrpo"] }],
  });
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
  evaluate: evaluateModels,
  report: reportRun,
};

/** What of the recipe each stage adds to what those before depend on. */
const recipeParts: Readonly<Partial<Record<StageName, (recipe: Recipe) => unknown>>> = {
  sample: ({ seed, prompts, sources, sampling, selection }) => [seed, prompts, sources, sampling, selection.sft_share],
  score: ({ rewards }) => rewards,
  select_sft: ({ selection }) => selection,
  sft: ({ target, sft }) => [target, sft],
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
    listener.stageStarted(name);
    const began = performance.now();
    const skipped = await runStage(run, name);
    listener.stageFinished(name, { seconds: (performance.now() - began) / 1000, skipped });
  }
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
    outcome = await stages[name]({ ...run, listener: recording });
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
  await records.finish(name, skipped && before?.state === "done" ? before.counts : (outcome ?? {}));
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
