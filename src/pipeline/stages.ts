import { contentKey } from "../schema/index.ts";
import { evaluateModels } from "./evaluating.ts";
import type { StageName } from "./events.ts";
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

/**
 * Runs these stages in order. Whatever was done before is not done again; a stage that was killed goes on.
 *
 * @throws Interrupted when the signal stopped it; else the stage's error, after it was noted in the ledger.
 */
export async function runStages(run: Run, names: readonly StageName[]): Promise<void> {
  const { ledger, listener } = run;
  const inputs = contentKey(run.recipe);
  for (const name of names) {
    checkInterrupted(run);
    listener.stageStarted(name);
    const began = performance.now();
    await ledger.stages.start(name, inputs, { total: 0, done: 0 });
    const recording = recordingListener(ledger.stages, name, inputs, listener);
    let outcome: Outcome;
    try {
      outcome = await stages[name]({ ...run, listener: recording });
      await recording.settle();
    } catch (error) {
      await recording.settle().catch(() => {});
      if (!(error instanceof Interrupted)) await ledger.stages.fail(name, {});
      throw error;
    }
    await ledger.stages.finish(name, outcome ?? {});
    const skipped =
      outcome === undefined ||
      (Object.keys(outcome).length > 0 && Object.values(outcome).every((count) => count === 0));
    listener.stageFinished(name, { seconds: (performance.now() - began) / 1000, skipped });
  }
}
