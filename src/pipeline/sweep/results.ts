import {
  type Comparison,
  compare,
  type EvaluationSummary,
  type ModelSummary,
  meanRewards,
  type Reward,
} from "../../evaluation/index.ts";
import { AmalgamError, type Recipe } from "../../schema/index.ts";
import type { LedgerReader } from "../../store/index.ts";
import { comparisonInputs } from "../evaluating.ts";
import { type StageName, stageNames } from "../events.ts";
import { logProbInputs } from "../log-prob-evaluation.ts";
import { type LogProbSummary, readLogProbs } from "../report/log-probs.ts";
import { readComparison } from "../report/stored-evaluation.ts";
import { readMetrics, readTrainingCurves, type TrainingCurves } from "../report/training-curves.ts";
import { runPaths } from "../run.ts";
import { askLedger, doneAlike, type PlannedVariant } from "./plan.ts";
import { type Seed, seedOf } from "./seed.ts";

/** Figures of a training's end. */
export interface FinalFigures {
  readonly steps: number;
  /** On the rows held out, at the last evaluation; or, where none are, the mean of the last tenth of the steps. */
  readonly measured: "held out" | "last steps";
  readonly loss: number | null;
  /** Share of the rows whose preferred response has the higher internal reward. */
  readonly accuracy: number | null;
  readonly margin: number | null;
  /** Share of the rows whose y_ws has a higher internal reward than y_l: hybrid-policy accuracy (section 4.4 of the paper). */
  readonly sourceAccuracy: number | null;
}

/** What a variant has come to. */
export interface VariantResult {
  readonly name: string;
  readonly folder: string;
  readonly settings: PlannedVariant["settings"];
  readonly objective: Recipe["wrpo"]["objective"];
  readonly point?: PlannedVariant["point"];
  readonly done: boolean;
  /** What stopped it, in this call. */
  readonly error?: string;
  readonly seed?: Seed;
  /** Seconds of the stages that it did itself. */
  readonly seconds: number;
  readonly models: EvaluationSummary["models"] | null;
  /** Its fused model against that of the first variant that has one, prompt by prompt; null for that one itself. */
  readonly against: { readonly variant: string; readonly comparison: Comparison } | null;
  readonly training: FinalFigures | null;
}

/** The same with what only figures show. */
export interface DrawnResult extends VariantResult {
  readonly curves: TrainingCurves | null;
  readonly logProbs: LogProbSummary | null;
}

/** Mean rewards by prompt of a fused model, and by which reward. */
interface FusedRewards {
  readonly variant: string;
  readonly reward: string;
  readonly rewards: readonly Reward[];
}

/** Reads what the variants of a sweep have come to. `errors` are those of this call, by variant. */
export async function gatherResults(
  variants: readonly PlannedVariant[],
  errors: ReadonlyMap<string, string>,
): Promise<DrawnResult[]> {
  const results: DrawnResult[] = [];
  let first: FusedRewards | undefined;
  for (const variant of variants) {
    const { name, folder, settings, point, recipe } = variant;
    const done = await doneAlike(folder, variant);
    const evaluated = done.includes("evaluate");
    const fused = evaluated ? await askLedger(folder, (reader) => fusedRewards(reader, name)) : undefined;
    const resampling = { resamples: recipe.evaluation.bootstrap, seed: recipe.seed };
    const against =
      fused === undefined || first === undefined || fused.reward !== first.reward
        ? null
        : comparison(fused.rewards, first.rewards, resampling);
    const metrics = runPaths(folder).metrics("wrpo");
    const trained = done.includes("wrpo");
    const seed = seedOf(folder);
    const error = errors.get(name);
    results.push({
      ...{ name, folder, settings, objective: recipe.wrpo.objective, done: done.length === stageNames.length },
      ...(point === undefined ? {} : { point }),
      ...(error === undefined ? {} : { error }),
      ...(seed === undefined ? {} : { seed }),
      seconds: Object.values(await ownSeconds(folder)).reduce((sum, seconds) => sum + seconds, 0),
      models: evaluated ? ((await askLedger(folder, modelsOf)) ?? null) : null,
      against: against === null ? null : { variant: first!.variant, comparison: against },
      training: trained ? finalFigures(metrics) : null,
      curves: trained ? readTrainingCurves(metrics) : null,
      logProbs: evaluated && recipe.evaluation.log_probs ? ((await askLedger(folder, logProbsOf)) ?? null) : null,
    });
    first ??= fused;
  }
  return results;
}

/** Seconds of the stages that the run in a folder did itself. */
export async function ownSeconds(folder: string): Promise<Partial<Record<StageName, number>>> {
  const shared: readonly string[] = seedOf(folder)?.stages ?? [];
  const records = (await askLedger(folder, (reader) => reader.stages.list())) ?? [];
  return Object.fromEntries(
    records.filter(({ name }) => !shared.includes(name)).map(({ name, seconds }) => [name, seconds]),
  );
}

async function modelsOf(reader: LedgerReader): Promise<EvaluationSummary["models"] | null> {
  const inputs = await reader.meta.get(comparisonInputs);
  return inputs === undefined ? null : ((await readComparison(reader, inputs))?.models ?? null);
}

async function logProbsOf(reader: LedgerReader): Promise<LogProbSummary | null> {
  const inputs = await reader.meta.get(logProbInputs);
  return inputs === undefined ? null : readLogProbs(reader, inputs);
}

const fusedStage = "evaluation/wrpo";

async function fusedRewards(reader: LedgerReader, variant: string): Promise<FusedRewards | undefined> {
  const [scored] = (await reader.scoreStatus())
    .filter(({ stage }) => stage === fusedStage)
    .sort((a, b) => b.done - a.done);
  if (scored === undefined) return undefined;
  const rewards: Reward[] = [];
  for await (const { prompt, responses } of reader.scores.byPrompt(fusedStage, scored.reward))
    for (const { value } of responses) rewards.push({ promptId: prompt.id, value });
  return { variant, reward: scored.reward, rewards };
}

/** Null where the two have no prompt in common. */
function comparison(
  own: readonly Reward[],
  other: readonly Reward[],
  resampling: { readonly resamples: number; readonly seed: number },
): Comparison | null {
  try {
    return compare(meanRewards(own), meanRewards(other), resampling);
  } catch (error) {
    if (error instanceof AmalgamError) return null;
    throw error;
  }
}

/** The fused model of a variant, as evaluated. */
export const fusedOf = ({ models }: Pick<VariantResult, "models">): ModelSummary | undefined =>
  models?.find(({ label }) => label === "wrpo");

/** Where the figures of the variants' trainings were measured, in words; undefined before there are any. */
export function measuredWhere(variants: readonly Pick<VariantResult, "training">[]): string | undefined {
  const measured = new Set(variants.flatMap(({ training }) => training?.measured ?? []));
  const words = [...measured].map((how) =>
    how === "held out" ? "on the rows held out, at the training's end" : "means of the last tenth of the steps",
  );
  return words.length === 0 ? undefined : words.join("; ");
}

/** Of a metrics file as the trainer writes it; null where it holds no step. */
export function finalFigures(file: string): FinalFigures | null {
  const { rows } = readMetrics(file);
  const steps = rows.filter((row) => "loss" in row);
  if (steps.length === 0) return null;
  const evaluation = rows.findLast((row) => "eval/loss" in row);
  const last = evaluation === undefined ? steps.slice(-Math.max(1, Math.ceil(steps.length / 10))) : [evaluation];
  const prefix = evaluation === undefined ? "" : "eval/";
  const mean = (name: string): number | null => {
    const values = last.map((row) => row[`${prefix}${name}`]).filter((value) => typeof value === "number");
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  return {
    steps: steps.length,
    measured: evaluation === undefined ? "last steps" : "held out",
    loss: mean("loss"),
    accuracy: mean("rewards/accuracies"),
    margin: mean("rewards/margins"),
    sourceAccuracy: mean("rewards/source_accuracies"),
  };
}
