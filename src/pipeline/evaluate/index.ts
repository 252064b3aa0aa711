import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { stringify } from "yaml";
import type { BenchmarkResult, Leaderboard, LeaderboardOptions, Task } from "../../evaluation/index.ts";
import {
  amended,
  type BenchmarkRecipe,
  contentKey,
  LedgerError,
  type LoadedSuite,
  RecipeError,
  replaceFile,
} from "../../schema/index.ts";
import { type Json, type Ledger, openLedger } from "../../store/index.ts";
import { explainDisk } from "../disk.ts";
import type { Listener } from "../events.ts";
import { checkInterrupted, runPaths } from "../run.ts";
import { endpointsAmong, openAccount, spendingWords } from "../spending.ts";
import { benchmarks } from "./benchmarks/index.ts";
import {
  contestantIdentity,
  namedContestants,
  openContestants,
  openSuiteJudge,
  type PlacedContestant,
} from "./contestants.ts";
import type { Answering, Contestant, Evaluation } from "./evaluation.ts";
import { openSuite } from "./shipped-suites.ts";
import { writeLeaderboard } from "./tables/index.ts";
import { taskOf } from "./tasks/runs.ts";

export interface SuiteEvaluationOptions {
  /** `MODEL`, `NAME=MODEL` or run folders; or models with where they come from. */
  readonly models: readonly (string | PlacedContestant)[];
  /** A file, or the name of a suite that comes with Amalgam. */
  readonly suite: string;
  /** Where answers, judgements and tables are kept; made where there is none. */
  readonly folder: string;
  /** Where the suite's data lie, in place of its own folder. */
  readonly dataFolder?: string | undefined;
  readonly overrides?: readonly string[];
  /** Tasks of one's own that the suite names, made by `defineTask`. */
  readonly tasks?: readonly Task[];
  readonly signal: AbortSignal;
  readonly listener: Listener;
  readonly offline?: boolean | undefined;
}

export interface SuiteOutcome {
  readonly results: readonly BenchmarkResult[];
  /** What was made of them, as it stands in the folder. */
  readonly leaderboard: Leaderboard;
}

/** Under which name the ledger of such a folder says what it is. */
const suiteEntry = "suite";

/**
 * Measures models by the benchmarks of a suite. Answers and judgements are kept in the folder's ledger as they come: stopped or killed, the
 * same call goes on, and what was asked once is not asked again, not for another suite either.
 *
 * @throws RecipeError, DataError, ModelError, SourceError, LedgerError: whatever is wrong with suite, files, models or folder; Interrupted
 * on an abort.
 */
export async function evaluateSuite(options: SuiteEvaluationOptions): Promise<SuiteOutcome> {
  const { listener, signal, offline = false } = options;
  const folder = resolve(options.folder);
  const { dataFolder, overrides = [], tasks = [] } = options;
  const loaded = openSuite(options.suite, { dataFolder, overrides });
  const { suite } = loaded;
  const placed = [
    ...options.models.flatMap((model) => (typeof model === "string" ? namedContestants(model, listener) : [model])),
    ...suite.models.map((recipe) => ({ recipe, baseFolder: loaded.baseFolder })),
  ];
  if (placed.length === 0)
    throw new RecipeError("no model is named", {
      file: loaded.file,
      hint: "Name them: amalgam evaluate MODEL... --suite SUITE --output FOLDER. Or write `models` into the suite.",
    });
  const ledger = await evaluationLedger(folder);
  try {
    const account = await openAccount(suite.budget, endpointsOf(loaded, placed), { ledger, listener });
    const finding = { listener, offline, budget: account?.budget };
    const contestants = await openContestants(placed, finding);
    const judgeOf = await openJudges(loaded, finding);
    checkTasks(loaded, tasks);
    const talking = contestants.map((one) => inConversationOnly(one, suite.benchmarks, listener));
    const { seed, bootstrap } = suite;
    const evaluation: Evaluation = { folder, seed, bootstrap, ledger, listener, signal, account, tasks };
    replaceFile(join(folder, "suite.yaml"), stringify(suite, { lineWidth: 100 }));
    const results: BenchmarkResult[] = [];
    try {
      for (const recipe of suite.benchmarks) {
        checkInterrupted(evaluation);
        const judge = judgeOf(recipe);
        const some = recipe.kind === "task" ? contestants : talking;
        const result = await measured(evaluation, recipe, some, judge);
        await keep(ledger, result, { recipe, seed, bootstrap, contestants, judge });
        results.push(result);
      }
    } finally {
      await account?.save();
      if (account !== undefined) listener.notice(`spent so far: ${spendingWords(account.budget.spent())}`);
    }
    const leaderboard = writeLeaderboard(folder, results, {
      name: suite.name,
      resampling: { resamples: bootstrap, seed },
      focus: suite.focus ?? usualFocus(contestants),
    });
    return { results, leaderboard };
  } catch (error) {
    throw explainDisk(error, folder);
  } finally {
    await ledger.close();
  }
}

/** A task that is not there is told before anything is asked. */
function checkTasks({ suite, file }: LoadedSuite, own: readonly Task[]): void {
  for (const [at, recipe] of suite.benchmarks.entries())
    if (recipe.kind === "task") amended({ file, field: `benchmarks.${at}.task` }, () => taskOf(recipe, own));
}

/** A base model is asked nothing in a conversation: it takes part in tasks, and has no figures beside. */
function inConversationOnly(
  contestant: Contestant,
  benchmarks: readonly BenchmarkRecipe[],
  listener: Listener,
): Contestant {
  const { name, answering } = contestant;
  if (answering?.embedded === undefined || answering.embedded.files.tokenizer.hasChatTemplate) return contestant;
  if (benchmarks.some(({ kind }) => kind !== "task"))
    listener.notice(
      `${name} has no chat template and takes part in tasks only; \`chat_template\` in the suite's models gives it one`,
    );
  return { name, outputs: {} };
}

/** A run's fused model against its target; else the last model against the first. */
function usualFocus(contestants: readonly Contestant[]): LeaderboardOptions["focus"] {
  const names = contestants.map(({ name }) => name);
  const [first, last] = [names[0]!, names.at(-1)!];
  if (names.includes("target") && names.includes("fused")) return { model: "fused", baseline: "target" };
  return first === last ? undefined : { model: last, baseline: first };
}

function measured(
  evaluation: Evaluation,
  recipe: BenchmarkRecipe,
  contestants: readonly Contestant[],
  judge: Answering | undefined,
): Promise<BenchmarkResult> {
  const measure = benchmarks[recipe.kind] as (
    evaluation: Evaluation,
    recipe: BenchmarkRecipe,
    contestants: readonly Contestant[],
    judge: Answering | undefined,
  ) => Promise<BenchmarkResult>;
  return measure(evaluation, recipe, contestants, judge);
}

interface Inputs {
  readonly recipe: BenchmarkRecipe;
  readonly seed: number;
  readonly bootstrap: number;
  readonly contestants: readonly Contestant[];
  readonly judge: Answering | undefined;
}

async function keep(ledger: Ledger, result: BenchmarkResult, inputs: Inputs): Promise<void> {
  const { contestants, judge, ...settings } = inputs;
  const models = contestants.map((one) => [one.name, contestantIdentity(one)]);
  const key = contentKey({ ...settings, models, judge: judge?.source.identity ?? null });
  await ledger.evaluations.set(`${suiteEntry}/${result.benchmark}`, key, result as unknown as Json);
}

/** The folder's ledger: a new one, or that of an earlier evaluation. */
async function evaluationLedger(folder: string): Promise<Ledger> {
  if (existsSync(runPaths(folder).recipe)) throw isRun(folder);
  const ledger = await openLedger(folder);
  try {
    const isNew = (await ledger.meta.get(suiteEntry)) === undefined;
    if (isNew && (await ledger.prompts.list()).length > 0) throw isRun(folder);
    await ledger.meta.set(suiteEntry, "evaluation");
    return ledger;
  } catch (error) {
    await ledger.close();
    throw error;
  }
}

const isRun = (folder: string) =>
  new LedgerError("this folder holds something else than an evaluation", {
    file: folder,
    hint: "Name a folder of its own: amalgam evaluate MODEL... --suite SUITE --output FOLDER",
  });

/** Every endpoint that may be asked, with where it stands. */
const endpointsOf = ({ suite }: LoadedSuite, placed: readonly PlacedContestant[]) =>
  endpointsAmong([
    ...placed.map(({ recipe }) => [`models.${recipe.name}`, recipe] as const),
    ...(suite.judge === undefined ? [] : [["judge", suite.judge] as const]),
    ...suite.benchmarks.flatMap((benchmark, at) =>
      "judge" in benchmark && benchmark.judge !== undefined
        ? [[`benchmarks.${at}.judge`, benchmark.judge] as const]
        : [],
    ),
  ]);

/** The judge of each benchmark: its own, else the suite's; each found once. */
async function openJudges({ suite, baseFolder }: LoadedSuite, finding: Parameters<typeof openSuiteJudge>[2]) {
  const shared = suite.judge === undefined ? undefined : await openSuiteJudge(suite.judge, baseFolder, finding);
  const own = new Map<BenchmarkRecipe, Answering>();
  for (const benchmark of suite.benchmarks)
    if ("judge" in benchmark && benchmark.judge !== undefined)
      own.set(benchmark, await openSuiteJudge(benchmark.judge, baseFolder, finding));
  return (benchmark: BenchmarkRecipe): Answering | undefined =>
    benchmark.kind === "task" ? undefined : (own.get(benchmark) ?? shared);
}
