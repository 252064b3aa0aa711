/** The stages of a run, in order. Each reads what the ones before left in the ledger and can be run alone. */
export const stageNames = [
  "sample",
  "score",
  "select_sft",
  "sft",
  "sample_target",
  "score_target",
  "select_quadruples",
  "wrpo",
  "evaluate",
  "report",
] as const;
export type StageName = (typeof stageNames)[number];

/** A stage of a run, or another long piece of work. */
export type Activity = StageName | "train" | "export" | "import" | "gc" | "check" | "convert" | "inspect";

/** How far a piece of long work is. */
export interface Progress {
  readonly stage: Activity;
  /** What is being done, e.g. the source's or the model's name. */
  readonly label: string;
  readonly done: number;
  /** 0 where nobody knows. */
  readonly total: number;
  /** What is counted: "responses", "scores", "steps", "bytes". */
  readonly unit: string;
  /** Further figures to show beside, e.g. the loss. */
  readonly figures?: Readonly<Record<string, number>>;
}

/** Who is told of what a run does; the command line prints it. */
export interface Listener {
  stageStarted(stage: Activity): void;
  /** `skipped` when nothing was left to do. */
  stageFinished(stage: Activity, outcome: { readonly seconds: number; readonly skipped: boolean }): void;
  progress(progress: Progress): void;
  /** One line that a person should read: a count of what was left out, a model being fetched. */
  notice(line: string): void;
}

/** Tells nobody. */
export const silent: Listener = { stageStarted() {}, stageFinished() {}, progress() {}, notice() {} };
