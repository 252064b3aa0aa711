import { join } from "node:path";
import { type Figure, type Item, type Measured, mean, type TaskFigures, tasks } from "../../../evaluation/index.ts";
import type { Measure } from "../evaluation.ts";
import { type TaskRecipe, type TaskRun, type TaskSample, taskOf, taskRuns } from "../tasks/runs.ts";
import { writeLmEval } from "../tasks/write-lm-eval.ts";

/** Measures all models by a task in the manner of lm-eval. Figures are in percent, with lm-eval's standard errors. */
export const measureTask: Measure<TaskRecipe> = async (evaluation, recipe, contestants) => {
  const task = taskOf(recipe, evaluation.tasks);
  const runs = await taskRuns(evaluation, recipe, contestants, task);
  writeLmEval(join(evaluation.folder, recipe.name ?? task.name), runs);
  return {
    benchmark: recipe.name ?? task.name,
    kind: "task",
    judge: null,
    official: runs.length > 0 && runs.every(isOfficial),
    columns: task.metrics.map(({ key, title }) => ({ key: columnKey(key), title, unit: "%" as const })),
    models: runs.map(measured),
  };
};

/** `acc,none` is the column `acc`. */
const columnKey = (key: string) => key.replace(/,none$/, "");

/**
 * Whether figures may stand beside published ones: a whole test set that Amalgam knows and scores as the official code does, with the
 * leaderboard's examples, as plain text.
 */
export function isOfficial({ task, shots, samples, sizes, asChat, truncated }: TaskRun): boolean {
  const size = [...sizes.values()].reduce((sum, one) => sum + one, 0);
  return (
    tasks.get(task.name) === task &&
    task.deviates === undefined &&
    task.shots === shots &&
    task.whole === size &&
    samples.length === size &&
    !asChat &&
    truncated.documents === 0
  );
}

function measured(run: TaskRun): Measured {
  const { model, samples, figures, failures, task } = run;
  const [main] = figures as [TaskFigures, ...TaskFigures[]];
  const written = samples.flatMap(({ reply }) => (typeof reply === "string" ? [[...reply].length] : []));
  return {
    model,
    figures: Object.fromEntries(
      figures.map(({ metric, all }) => [columnKey(metric.key), all === null ? null : figureOf(all)]),
    ),
    items: samples.map((sample) => itemOf(task, main, sample)),
    categories: Object.fromEntries([...main.groups].map(([group, aggregate]) => [group, figureOf(aggregate)])),
    ...(main.areas.size === 0
      ? {}
      : {
          areas: [...main.areas].map(([name, aggregate]) => ({
            name,
            categories: task.areas![name]!.filter((group) => main.groups.has(group)),
            figure: figureOf(aggregate),
          })),
        }),
    ...(written.length === 0 ? {} : { length: mean(written) }),
    failed: failures.length,
    notes: notesOf(run),
  };
}

/** The normal distribution's bounds of 95 %. */
const normal = 1.959963984540054;

function figureOf({ value, standardError }: NonNullable<TaskFigures["all"]>): Figure {
  const percent = 100 * value;
  if (standardError === null) return { value: percent };
  const error = 100 * standardError;
  const bound = (at: number) => Math.min(100, Math.max(0, percent + at * normal * error));
  return { value: percent, standardError: error, interval: [bound(-1), bound(1)] };
}

function itemOf(task: TaskRun["task"], { metric }: TaskFigures, { prompt, reply, scores }: TaskSample): Item {
  const { group, index, document } = prompt;
  const value = scores[metric.key];
  const question = task.shown?.(document);
  return {
    id: group === undefined ? String(index) : `${group}/${index}`,
    value: 100 * (typeof value === "number" ? value : mean((value ?? []).map(Number))),
    ...(group === undefined ? {} : { category: group }),
    ...(question === undefined ? {} : { question }),
    answer: typeof reply === "string" ? reply : chosen(task, document, reply),
  };
}

/** The choice that the model finds most probable. */
function chosen(task: TaskRun["task"], document: unknown, logLikelihoods: readonly number[]): string {
  if (task.kind !== "choices") return "";
  const choices = task.choices(document);
  const { before, answer } = choices[logLikelihoods.indexOf(Math.max(...logLikelihoods))]!;
  return choices.every((choice) => choice.answer === answer) ? `${before} ${answer}` : answer;
}

function notesOf({ task, shots, samples, sizes, truncated, failures, unasked, asChat }: TaskRun): string[] {
  const size = [...sizes.values()].reduce((sum, one) => sum + one, 0);
  const asked = samples.length + failures.length;
  return [
    ...(unasked === undefined ? [] : [unasked]),
    `${shots} example${shots === 1 ? "" : "s"}${shots === task.shots ? "" : `, where ${task.name} has ${task.shots}`}`,
    ...(unasked === undefined && asked < size ? [`${asked} of ${size} questions`] : []),
    ...(task.deviates === undefined ? [] : [task.deviates]),
    ...(truncated.documents === 0
      ? []
      : [
          `${truncated.documents} context${truncated.documents === 1 ? "" : "s"} lost up to ${truncated.most} tokens at the beginning: the model has no room for more`,
        ]),
    ...(asChat ? ["prompts were sent as a user's messages, as the server has chats only"] : []),
    ...(failures.length === 0 ? [] : [`failed, the first of ${failures.length}: ${failures[0]}`]),
  ];
}
