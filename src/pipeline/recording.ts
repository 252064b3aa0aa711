import type { Ledger } from "../store/index.ts";
import type { Listener, Progress, StageName } from "./events.ts";

export interface RecordingListener extends Listener {
  /** Waits until the ledger has what was told so far. */
  settle(): Promise<void>;
}

const recordEveryMs = 1000;

/**
 * Passes everything on to `listener`, and keeps in the ledger how far the stage is, at most once a second: `status`
 * reads it from another process. Labels of one unit (the sources of a draw) are added up; another unit (steps after
 * rows) begins anew. Bytes of a download are not the stage's own work.
 */
export function recordingListener(
  stages: Ledger["stages"],
  stage: StageName,
  inputs: string,
  listener: Listener,
  now: () => number = () => performance.now(),
): RecordingListener {
  let unit: string | undefined;
  let labels = new Map<string, Progress>();
  let recordedAt = Number.NEGATIVE_INFINITY;
  let writing: Promise<void> = Promise.resolve();

  const record = (progress: Progress) => {
    if (progress.unit === "bytes") return;
    const begins = progress.unit !== unit;
    if (begins) labels = new Map();
    unit = progress.unit;
    labels.set(progress.label, progress);
    const known = [...labels.values()];
    const done = known.reduce((sum, label) => sum + label.done, 0);
    const total = known.reduce((sum, label) => sum + label.total, 0);
    if (!begins && done < total && now() - recordedAt < recordEveryMs) return;
    recordedAt = now();
    writing = writing.then(async () => {
      await stages.progress(stage, { done, total });
      // The clock of the rate starts here; the time before (loading a model) stays counted.
      if (begins) await stages.start(stage, inputs, { total, done });
    });
    // Told by `settle`; until then it must not count as unhandled.
    writing.catch(() => {});
  };

  return {
    stageStarted: (name) => listener.stageStarted(name),
    stageFinished: (name, outcome) => listener.stageFinished(name, outcome),
    notice: (line) => listener.notice(line),
    progress(progress) {
      listener.progress(progress);
      record(progress);
    },
    settle: () => writing,
  };
}
