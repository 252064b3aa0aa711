import type { RecipeError } from "./errors.ts";
import { firstOf, type Mistake, mistakeError, mistakesOf } from "./recipe-issues.ts";
import { type FieldPath, readYaml } from "./recipe-yaml.ts";
import { type TaskFile, taskFileSchema } from "./task.ts";

export interface LoadedTaskFile {
  readonly task: TaskFile;
  /** A mistake in the field at this path, with file and line. */
  mistake(path: FieldPath, message: string, hint?: string): RecipeError;
}

/** Reads the YAML of a task. Throws a RecipeError with file, line and field for the first mistake, its `others` the rest. */
export function loadTaskFile(file: string): LoadedTaskFile {
  const yaml = readYaml(file, "task");
  const error = (mistake: Mistake) => {
    const line = yaml.lineOf(mistake.path);
    return mistakeError(mistake, { file, ...(line === undefined ? {} : { line }) });
  };
  const parsed = taskFileSchema.safeParse(yaml.value);
  const mistakes = parsed.success
    ? contradictions(parsed.data)
    : mistakesOf(taskFileSchema, yaml.value, parsed.error.issues);
  const first = firstOf(mistakes.map(error));
  if (first !== undefined) throw first;
  if (!parsed.success) throw new Error("the schema refused the task without saying why");
  return {
    task: parsed.data,
    mistake: (path, message, hint) => error({ path, message, ...(hint === undefined ? {} : { hint }) }),
  };
}

/** What each field may be by itself, and not together. */
function contradictions(task: TaskFile): Mistake[] {
  const written = task.output_type === "generate_until";
  const of = (path: Mistake["path"], message: string, hint?: string): Mistake[] => [
    { path, message, ...(hint === undefined ? {} : { hint }) },
  ];
  return [
    ...(!written && task.doc_to_choice === undefined
      ? of(["doc_to_choice"], "is missing", "A task of `multiple_choice` says what its choices are.")
      : []),
    ...(task.test_split === undefined && task.validation_split === undefined
      ? of(
          ["test_split"],
          "is missing",
          "Name the split that the questions are of as `test_split` or `validation_split`.",
        )
      : []),
    ...(written ? [] : ["filter_list", "generation_kwargs"])
      .filter((field) => task[field as "filter_list" | "generation_kwargs"] !== undefined)
      .flatMap((field) => of([field], "belongs to tasks of `generate_until`")),
    ...(task.metric_list ?? []).flatMap(({ metric }, at) =>
      (metric === "exact_match") === written
        ? []
        : of(
            ["metric_list", at, "metric"],
            `${metric} is no metric of ${task.output_type}`,
            written ? "It has exact_match." : "It has acc and acc_norm.",
          ),
    ),
  ];
}
