import {
  figuresOf,
  loadTask,
  type Prompt,
  promptsOf,
  readTaskData,
  type Scores,
  type Task,
  type TaskFigures,
  tasks,
} from "../../../evaluation/index.ts";
import { type BenchmarkRecipeOf, didYouMean, RecipeError } from "../../../schema/index.ts";
import type { Contestant, Evaluation } from "../evaluation.ts";
import { ofEach } from "../of-each.ts";
import type { Failed } from "../remembered.ts";
import { endpointLikelihoods } from "./endpoint-likelihoods.ts";
import { embeddedLikelihoods } from "./log-likelihoods.ts";
import { writtenAnswers } from "./written.ts";

/** One document with what a model made of it. */
export interface TaskSample {
  readonly prompt: Prompt;
  /** The log-likelihood of each choice, or what was written. */
  readonly reply: readonly number[] | string;
  readonly scores: Scores;
}

/** What a task says of one model. */
export interface TaskRun {
  /** The benchmark's name in the suite. */
  readonly benchmark: string;
  readonly model: string;
  readonly task: Task;
  readonly shots: number;
  /** Documents that the data have, by group: those that a limit left out are among them. */
  readonly sizes: ReadonlyMap<string | undefined, number>;
  readonly samples: readonly TaskSample[];
  readonly figures: readonly TaskFigures[];
  readonly failures: readonly string[];
  /** Documents whose context lost tokens for want of room, and how many at most. */
  readonly truncated: { readonly documents: number; readonly most: number };
  /** Why nothing was asked. */
  readonly unasked?: string;
  /** Prompts went out as a user's messages, which lm-eval's own figures are not made of. */
  readonly asChat: boolean;
}

export type TaskRecipe = BenchmarkRecipeOf<"task">;

/** The task that a suite names: one of the caller's own, one of Amalgam's, or a YAML file. @throws RecipeError for any other */
export function taskOf({ task }: Pick<TaskRecipe, "task">, own: readonly Task[] = []): Task {
  if (/\.ya?ml$/i.test(task)) return loadTask(task);
  const known = own.find(({ name }) => name === task) ?? tasks.get(task);
  if (known !== undefined) return known;
  const names = [...own.map(({ name }) => name), ...tasks.keys()];
  throw new RecipeError(`there is no task ${JSON.stringify(task)}`, {
    field: "benchmarks.task",
    hint: `${didYouMean(task, names)}The tasks are ${names.join(", ")}; a task of one's own is a .yaml file.`,
  });
}

/**
 * What each model makes of a task's documents. Whatever the ledger has is not computed again: called a second time, this only reads.
 *
 * @throws RecipeError, DataError, SourceError, ModelError; Interrupted on an abort
 */
export async function taskRuns(
  evaluation: Evaluation,
  recipe: TaskRecipe,
  contestants: readonly Contestant[],
  task: Task = taskOf(recipe, evaluation.tasks),
): Promise<TaskRun[]> {
  const shots = recipe.shots ?? task.shots;
  const data = await readTaskData(task, recipe.data, { shots, limit: recipe.limit });
  const { sizes } = data;
  const prompts = promptsOf(task, data.documents, data.pool, shots);
  const benchmark = recipe.name ?? task.name;
  return await ofEach(evaluation, contestants, async (each, contestant): Promise<TaskRun> => {
    const replies = await repliesOf(each, benchmark, recipe, contestant, task, prompts);
    const common = { benchmark, model: contestant.name, task, shots, sizes };
    if (typeof replies === "string") return { ...common, ...nothing(task), unasked: replies };
    const failures: string[] = [];
    const cuts: number[] = [];
    const samples = prompts.flatMap((prompt, at): TaskSample[] => {
      const reply = replies.answers[at]!;
      if ("failure" in reply) {
        failures.push(reply.failure);
        return [];
      }
      if (reply.cut > 0) cuts.push(reply.cut);
      return [{ prompt, reply: reply.reply, scores: scored(task, prompt, reply.reply) }];
    });
    const truncated = { documents: cuts.length, most: Math.max(0, ...cuts) };
    const documents = samples.map(({ prompt: { group }, scores }) => ({ group, scores }));
    const figures = task.metrics.map((metric) => figuresOf(task, metric, documents));
    return { ...common, samples, figures, failures, truncated, asChat: replies.asChat };
  });
}

const nothing = (task: Task) => ({
  samples: [],
  figures: task.metrics.map((metric) => figuresOf(task, metric, [])),
  failures: [],
  truncated: { documents: 0, most: 0 },
  asChat: false,
});

type Reply = { readonly reply: readonly number[] | string; readonly cut: number } | Failed;

/** Asks a model; says why it can't be asked. */
async function repliesOf(
  evaluation: Evaluation,
  benchmark: string,
  recipe: TaskRecipe,
  { name, answering }: Contestant,
  task: Task,
  prompts: readonly Prompt[],
): Promise<{ readonly answers: readonly Reply[]; readonly asChat: boolean } | string> {
  if (answering === undefined) return "answers that are there already tell nothing of a task: give the model itself";
  const label = `${benchmark}, ${name}`;
  const { embedded, endpoint } = answering;
  if (task.kind === "written") {
    const { until, maxTokens } = task;
    const written = await writtenAnswers(evaluation, label, answering, prompts, { until, maxTokens });
    return {
      answers: written.map((one) => ("failure" in one ? one : { reply: one.text, cut: one.cut })),
      asChat: embedded === undefined && endpoint?.format !== "completions",
    };
  }
  const documents = prompts.map(({ requests }) => requests);
  const found =
    embedded !== undefined
      ? await embeddedLikelihoods(evaluation, label, embedded, documents, recipe.micro_batch_tokens)
      : endpoint !== undefined
        ? await endpointLikelihoods(evaluation, label, endpoint, documents)
        : undefined;
  if (found === undefined) return "only models and endpoints tell log-likelihoods";
  const answers = found.map((one) => ("failure" in one ? one : { reply: one.logLikelihoods, cut: one.cut }));
  return { answers, asChat: false };
}

const scored = (task: Task, { document }: Prompt, reply: readonly number[] | string): Scores =>
  task.kind === "written" ? task.score(document, reply as string) : task.score(document, reply as readonly number[]);
