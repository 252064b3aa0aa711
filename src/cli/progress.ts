import { formatBytes } from "../models/index.ts";
import type { Activity, Listener, Progress } from "../pipeline/index.ts";
import { formatFigure, formatRate, formatSeconds } from "./format.ts";

/** Where the lines go. */
export interface Output {
  /** On a terminal one line is written over and over; elsewhere lines come at most every ten seconds. */
  readonly terminal: boolean;
  readonly columns: () => number;
  readonly write: (text: string) => void;
}

/** A listener for people; `clear` takes the live line away before something else is printed. */
export interface ProgressPrinter extends Listener {
  clear(): void;
}

const rateWindowMs = 60_000;
const linesEveryMs = 10_000;
const redrawEveryMs = 100;

/** Prints what a run does, with rate and time left. */
export function progressPrinter(output: Output, now: () => number = () => performance.now()): ProgressPrinter {
  const meters = new Map<string, Meter>();
  let live = "";
  let toldAt = Number.NEGATIVE_INFINITY;

  const clear = () => {
    if (live !== "") output.write("\r\x1b[K");
    live = "";
  };
  const line = (text: string) => {
    clear();
    output.write(`${harmless(text)}\n`);
  };
  const show = (text: string) => {
    const fitting = harmless(text).slice(0, Math.max(20, output.columns() - 1));
    output.write(`\r\x1b[K${fitting}`);
    live = fitting;
  };

  return {
    clear,
    stageStarted(stage) {
      meters.clear();
      toldAt = Number.NEGATIVE_INFINITY;
      if (output.terminal) show(`${stageWords[stage]} ...`);
      else line(`${stageWords[stage]} ...`);
    },
    stageFinished(stage, { seconds, skipped }) {
      line(`${stageWords[stage]}: ${skipped ? "done before" : `done in ${formatSeconds(seconds)}`}`);
    },
    progress(progress) {
      const name = `${progress.stage} ${progress.label}`;
      const meter = meters.get(name) ?? createMeter();
      meters.set(name, meter);
      const at = now();
      meter.add(at, progress.done);
      const ended = progress.total > 0 && progress.done >= progress.total;
      if (at - toldAt < (output.terminal ? redrawEveryMs : linesEveryMs) && !(ended && output.terminal)) return;
      toldAt = at;
      const text = describeProgress(progress, meter.rate());
      if (output.terminal) show(text);
      else line(text);
    },
    notice(text) {
      line(`  ${text}`);
    },
  };
}

/** A line may hold words of a server or a model: they don't move the cursor. */
const harmless = (text: string) => text.replace(/\p{Cc}/gu, " ");

interface Meter {
  add(at: number, done: number): void;
  /** Items a second over the last minute; undefined until something was done. */
  rate(): number | undefined;
}

function createMeter(): Meter {
  let samples: { at: number; done: number }[] = [];
  return {
    add(at, done) {
      const kept = samples.filter((sample) => at - sample.at <= rateWindowMs);
      // A slow worker's last sample may be older than the window: it is still what the rate counts from.
      samples = [...(kept.length > 0 ? kept : samples.slice(-1)), { at, done }];
      if (samples.length > 512) samples = samples.filter((_, index) => index % 2 === 0 || index === samples.length - 1);
    },
    rate() {
      const [first, last] = [samples[0]!, samples.at(-1)!];
      const made = last.done - first.done;
      return made > 0 && last.at > first.at ? (made / (last.at - first.at)) * 1000 : undefined;
    },
  };
}

/** One line: what, how far, how fast, how long still. */
function describeProgress(
  { stage, label, done, total, unit, figures = {} }: Progress,
  rate: number | undefined,
): string {
  const counted = total === 0 ? `${done} ${unit}` : `${done} of ${total} ${unit}`;
  const count = unit === "bytes" ? `${formatBytes(done)} of ${formatBytes(total)}` : counted;
  const speed = rate === undefined ? [] : [unit === "bytes" ? `${formatBytes(rate)}/s` : formatRate(rate)];
  const left = rate === undefined || done >= total ? [] : [`${formatSeconds((total - done) / rate)} left`];
  const more = Object.entries(figures).map(([name, value]) => `${name} ${formatFigure(value)}`);
  return [`${stageWords[stage]}, ${label}: ${count}`, ...speed, ...left, ...more].join(", ");
}

/** What each stage does, for people. */
export const stageWords: Readonly<Record<Activity, string>> = {
  sample: "sampling the sources",
  score: "scoring the sources",
  select_sft: "selecting for the tuning",
  sft: "supervised tuning",
  sample_target: "sampling the tuned target",
  score_target: "scoring the tuned target",
  select_quadruples: "selecting quadruples",
  wrpo: "WRPO",
  evaluate: "evaluating",
  report: "writing the report",
  train: "training",
  export: "exporting",
  import: "importing",
  gc: "removing what is not needed",
  check: "checking the data",
  convert: "converting the data",
  inspect: "reading",
};
