import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { EvaluationSummary } from "../../evaluation/index.ts";
import type { Recipe } from "../../schema/index.ts";
import type { LedgerReader, Split, StageRecord } from "../../store/index.ts";
import { type Example, pickExamples } from "./examples.ts";
import { type HeldOut, type PartMeans, partMeans, readHeldOut } from "./held-out.ts";
import { type Ingredients, ingredientsOf, withoutCredentials } from "./ingredients.ts";
import { type LogProbSummary, readLogProbs } from "./log-probs.ts";
import { fusedLabel, type SampleGroup, sampleGroups, untuned } from "./samples.ts";
import { type SplitSelection, splitSelection } from "./split-selection.ts";
import { readComparison } from "./stored-evaluation.ts";
import { type SuiteBoard, suiteBoards } from "./suite-boards.ts";
import { readTrainingCurves, type TrainingCurves } from "./training-curves.ts";

/** What a report needs beside the ledger and the run folder. */
export interface ReportExtra {
  /** The recipe as resolved. */
  readonly recipe: Recipe;
  /** Identity of the reward that the run is scored by (`RewardModel.identity`). */
  readonly reward: string;
  /** Of Amalgam, libtorch and Node, by name. */
  readonly versions: Readonly<Record<string, string>>;
  /** What the run ran on, in words: see `thisMachine`. */
  readonly machine: string;
  /** `Source.identity` of the target and of the sources by name, as far as they are known. */
  readonly identities?: { readonly target?: string; readonly sources?: Readonly<Record<string, string>> };
  /** Inputs of this run's comparison in the ledger; without them, the latest comparison is shown. */
  readonly comparison?: string;
  /** Inputs of this run's log-probs in the ledger; without them, none are shown. */
  readonly logProbs?: string;
}

export interface StageLine {
  readonly name: string;
  readonly state: StageRecord["state"];
  /** ISO 8601. */
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly seconds: number;
  readonly done: number;
  readonly total: number;
  readonly failed: number;
  readonly counts: StageRecord["counts"];
}

/** Everything that a report shows, as plain JSON. What the run has not come to yet is null or empty. */
export interface ReportData {
  readonly name: string;
  /** ISO 8601. */
  readonly madeAt: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly machine: string;
  readonly ingredients: Ingredients;
  /** Whether the recipe has supervised tuning. */
  readonly supervised: boolean;
  /** What preference training learns from. */
  readonly rows: Recipe["selection"]["rows"];
  readonly prompts: Readonly<Record<Split, number>>;
  readonly selections: { readonly sft: SplitSelection | null; readonly wrpo: SplitSelection | null };
  /** Every (stage, source) that was asked for: sources and target on training prompts, models on held-out ones. */
  readonly samples: readonly SampleGroup[];
  readonly evaluation: EvaluationSummary | null;
  readonly parts: readonly PartMeans[];
  readonly examples: readonly Example[];
  /** How probable each model finds what WRPO learns from; null unless the recipe asks for it. */
  readonly logProbs: LogProbSummary | null;
  /** What suites came to that the recipe names, by their names. */
  readonly suites: readonly SuiteBoard[];
  readonly training: { readonly sft: TrainingCurves | null; readonly wrpo: TrainingCurves | null };
  readonly stages: readonly StageLine[];
  /** The recipe's text as the run folder holds it, credentials in addresses removed. */
  readonly recipeText: string | null;
}

/**
 * Gathers the report of a run that may be at any stage. Reads the ledger prompt by prompt: of texts, only those of the
 * examples are kept in memory. Throws LedgerError where the stored comparison is not of this version's form.
 */
export async function gatherReport(reader: LedgerReader, folder: string, extra: ReportExtra): Promise<ReportData> {
  const { recipe, reward } = extra;
  const prompts = await reader.prompts.list();
  const evaluation = await readComparison(reader, extra.comparison);
  const samples = await sampleGroups(reader, reward, evaluation?.models.map(({ label }) => label) ?? []);
  const heldOut = await heldOutByLabel(reader, reward, samples);
  const baseline = evaluation?.baseline ?? untuned;
  const labels = samples.flatMap(({ label }) => label ?? []);
  const fused = fusedLabel(evaluation?.models.map(({ label }) => label) ?? labels, baseline);
  const recipeFile = join(folder, "recipe.yaml");
  return {
    name: recipe.name,
    madeAt: new Date().toISOString(),
    versions: extra.versions,
    machine: extra.machine,
    ingredients: ingredientsOf(recipe, reward, extra.identities ?? {}),
    supervised: recipe.sft.enabled,
    rows: recipe.selection.rows,
    prompts: {
      sft: prompts.filter(({ split }) => split === "sft").length,
      wrpo: prompts.filter(({ split }) => split === "wrpo").length,
      evaluation: prompts.filter(({ split }) => split === "evaluation").length,
    },
    selections: {
      sft: await splitSelection(reader, "sft", reward, recipe.selection),
      wrpo: await splitSelection(reader, "wrpo", reward, recipe.selection),
    },
    samples,
    evaluation,
    parts: partMeans(heldOut),
    examples: fused === undefined ? [] : await pickExamples(reader, prompts, heldOut, baseline, fused),
    logProbs: extra.logProbs === undefined ? null : await readLogProbs(reader, extra.logProbs),
    suites: recipe.evaluation.suites === undefined ? [] : suiteBoards(folder),
    training: {
      sft: recipe.sft.enabled ? readTrainingCurves(join(folder, "metrics", "sft.jsonl")) : null,
      wrpo: readTrainingCurves(join(folder, "metrics", "wrpo.jsonl")),
    },
    stages: (await reader.stages.list()).map(toStageLine),
    recipeText: existsSync(recipeFile) ? withoutCredentials(readFileSync(recipeFile, "utf8")) : null,
  };
}

async function heldOutByLabel(
  reader: LedgerReader,
  reward: string,
  samples: readonly SampleGroup[],
): Promise<ReadonlyMap<string, HeldOut>> {
  const found = new Map<string, HeldOut>();
  for (const { label, stage } of samples) {
    if (label !== null) found.set(label, await readHeldOut(reader, stage, reward));
  }
  return found;
}

const toStageLine = (record: StageRecord): StageLine => ({
  name: record.name,
  state: record.state,
  startedAt: record.startedAt.toISOString(),
  finishedAt: record.finishedAt?.toISOString() ?? null,
  seconds: record.seconds,
  done: record.done,
  total: record.total,
  failed: record.failed,
  counts: record.counts,
});
