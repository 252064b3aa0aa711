import { existsSync } from "node:fs";
import type { EvaluationSummary } from "../evaluation/index.ts";
import { AmalgamError, loadRecipe, type Recipe } from "../schema/index.ts";
import {
  type DrawStatus,
  type LedgerReader,
  readLedger,
  type ScoreStatus,
  type Split,
  type StageRecord,
  type Writer,
} from "../store/index.ts";
import { type StageName, stageNames } from "./events.ts";
import { type SplitSelection, splitSelection } from "./report/split-selection.ts";
import { readComparison } from "./report/stored-evaluation.ts";
import { runPaths } from "./run.ts";

export interface StageStatus {
  readonly stage: StageName;
  /** `interrupted`: began, has not ended, and no process is at it now. `off`: the recipe goes without it. */
  readonly state: "waiting" | "running" | "interrupted" | "done" | "failed" | "off";
  readonly done: number;
  readonly total: number;
  readonly failed: number;
  /** Seconds worked so far. */
  readonly seconds: number;
  /** Items a second, and seconds to go at that rate. */
  readonly rate?: number;
  readonly secondsLeft?: number;
  readonly counts: StageRecord["counts"];
}

/** How far a run is. */
export interface RunStatus {
  readonly folder: string;
  /** The process that works on the run now. */
  readonly writer?: Writer;
  readonly prompts: Readonly<Record<Split, number>>;
  /** All stages, in the order in which they run. */
  readonly stages: readonly StageStatus[];
  readonly draws: readonly DrawStatus[];
  readonly scores: readonly ScoreStatus[];
  /** What was selected and from which source; null until it is. */
  readonly selections: { readonly sft: SplitSelection | null; readonly wrpo: SplitSelection | null };
  readonly comparison?: EvaluationSummary;
  /** Where these lie, once they are there. */
  readonly tunedModel?: string;
  readonly fusedModel?: string;
  readonly report?: string;
}

/** Reads how far the run in a folder is, while it may be running. Throws LedgerError where there is no run. */
export async function runStatus(folder: string): Promise<RunStatus> {
  const reader = await readLedger(folder);
  try {
    const writer = await reader.writer();
    const records = new Map((await reader.stages.list()).map((record) => [record.name, record]));
    const draws = await reader.drawStatus();
    const scores = await reader.scoreStatus();
    const comparison = await readComparison(reader, undefined);
    const paths = runPaths(reader.folder);
    const standing = (name: "tunedModel" | "fusedModel" | "report", path: string) =>
      existsSync(path) ? { [name]: path } : {};
    return {
      folder: reader.folder,
      ...(writer === undefined ? {} : { writer }),
      prompts: await reader.prompts.counts(),
      stages: stageNames.map((stage) =>
        stageStatus(stage, records.get(stage), countsOf(stage, draws, scores), writer !== undefined),
      ),
      draws,
      scores,
      selections: await selectionsOf(reader, scores),
      ...(comparison === null ? {} : { comparison }),
      ...standing("tunedModel", paths.sftModel),
      ...standing("fusedModel", paths.fusedModel),
      ...standing("report", paths.report),
    };
  } finally {
    await reader.close();
  }
}

type Counted = Pick<StageStatus, "done" | "total" | "failed">;

/** What the ledger itself says of the stages that draw and score, over all attempts; undefined for the others. */
function countsOf(stage: StageName, draws: readonly DrawStatus[], scores: readonly ScoreStatus[]): Counted | undefined {
  const label = { sample: "sources", score: "sources", sample_target: "target", score_target: "target" }[
    stage as string
  ];
  const all: readonly (Counted & { readonly stage: string })[] = stage.startsWith("score") ? scores : draws;
  const own = all.filter((row) => (stage === "evaluate" ? row.stage.startsWith("evaluation/") : row.stage === label));
  if (own.length === 0) return undefined;
  const sum = (field: keyof Counted) => own.reduce((total, row) => total + row[field], 0);
  return { done: sum("done"), total: sum("total"), failed: sum("failed") };
}

function stageStatus(
  stage: StageName,
  record: StageRecord | undefined,
  counted: Counted | undefined,
  alive: boolean,
): StageStatus {
  if (record === undefined) return { stage, state: "waiting", done: 0, total: 0, failed: 0, seconds: 0, counts: {} };
  const { done, total, failed } = counted ?? record;
  const { state, seconds, rate, counts } = record;
  const running = state === "running" && alive;
  return {
    stage,
    state: state === "running" && !alive ? "interrupted" : counts.off === true ? "off" : state,
    done,
    total,
    failed,
    seconds,
    ...(rate === undefined ? {} : { rate }),
    ...(running && rate !== undefined ? { secondsLeft: Math.max(0, total - done) / rate } : {}),
    counts,
  };
}

async function selectionsOf(reader: LedgerReader, scores: readonly ScoreStatus[]): Promise<RunStatus["selections"]> {
  const rewards = scores.filter(({ stage }) => stage === "sources").sort((a, b) => b.done - a.done);
  const rule = selectionRule(reader.folder);
  const [reward] = rewards;
  if (reward === undefined || rule === undefined) return { sft: null, wrpo: null };
  return {
    sft: await splitSelection(reader, "sft", reward.reward, rule),
    wrpo: await splitSelection(reader, "wrpo", reward.reward, rule),
  };
}

/** The rule of the run's own recipe; a recipe that can't be read any more hides the contributions and nothing else. */
function selectionRule(folder: string): Recipe["selection"] | undefined {
  try {
    return loadRecipe(runPaths(folder).recipe).recipe.selection;
  } catch (error) {
    if (error instanceof AmalgamError) return undefined;
    throw error;
  }
}
