/** How far the fetching of a model is. */
export interface LocateProgress {
  /** The model, as the recipe names it. */
  readonly label: string;
  /** `wait`: another process fetches the same model. */
  readonly step: "wait" | "download" | "unpack" | "verify" | "done";
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Over the last seconds; 0 until it is known. */
  readonly bytesPerSecond: number;
}

export type ProgressListener = (progress: LocateProgress) => void;

export interface ProgressMeter {
  /** Sets the step and the bytes that are done; tells the listener at most ten times a second, and at every change of step. */
  readonly set: (step: LocateProgress["step"], doneBytes: number) => void;
  readonly add: (bytes: number) => void;
}

/** Counts bytes and their rate for one model, and tells `listener`. */
export function progressMeter(
  label: string,
  totalBytes: number,
  listener: ProgressListener | undefined,
  now: () => number = () => performance.now(),
): ProgressMeter {
  const windowMs = 5000;
  let step: LocateProgress["step"] | undefined;
  let done = 0;
  let told = Number.NEGATIVE_INFINITY;
  let samples: { at: number; done: number }[] = [];

  const set = (nextStep: LocateProgress["step"], doneBytes: number): void => {
    const at = now();
    if (nextStep !== step) samples = [];
    const changed = nextStep !== step;
    step = nextStep;
    done = doneBytes;
    if (!changed && at - told < 100 && done < totalBytes) return;
    told = at;
    samples = [...samples.filter((sample) => at - sample.at <= windowMs), { at, done }];
    const first = samples[0]!;
    const bytesPerSecond = at > first.at ? ((done - first.done) / (at - first.at)) * 1000 : 0;
    listener?.({ label, step, doneBytes: done, totalBytes, bytesPerSecond });
  };
  return { set, add: (bytes) => set(step ?? "download", done + bytes) };
}

/** A number of bytes for people: decimal units, as disks and networks are sold. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}
