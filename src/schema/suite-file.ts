import { existsSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { z } from "zod";
import { expandHome } from "./cache.ts";
import { valueAt } from "./issue-words.ts";
import { firstOf, type Mistake, mistakeError, mistakesOf } from "./recipe-issues.ts";
import { applyOverrides, givenBy, overrideOf, parseOverride } from "./recipe-overrides.ts";
import { readYaml } from "./recipe-yaml.ts";
import { type BenchmarkRecipe, type ContestantRecipe, type Suite, suiteSchema } from "./suite.ts";

export interface LoadedSuite {
  /** Every default filled in, the paths of data absolute. */
  readonly suite: Suite;
  readonly file: string;
  /** Models that are given by path start here: the suite's own folder. */
  readonly baseFolder: string;
}

export interface SuiteOptions {
  /** Where the suite's data lie, in place of its own folder. */
  readonly dataFolder?: string | undefined;
  /** `a.b=c`, on top of the file. */
  readonly overrides?: readonly string[];
}

/** Fields of a benchmark that name a file or folder. A task's own file is one where it looks like it. */
const dataFields = ["questions", "baseline", "creative_baseline", "gamed", "prompt", "references", "data"] as const;

/**
 * Reads a suite. Throws a RecipeError with file, line and field for the first mistake, its `others` the rest: of the YAML and the
 * schema, a name twice, a judged benchmark without a judge, a file that is not there.
 */
export function loadSuite(file: string, { dataFolder, overrides = [] }: SuiteOptions = {}): LoadedSuite {
  const yaml = readYaml(file, "suite");
  const given = overrides.map(parseOverride);
  const value = applyOverrides(yaml.value, given);
  const parsed = suiteSchema.safeParse(value);
  const folder = resolve(dirname(file));
  const data = dataFolder === undefined ? folder : resolve(dataFolder);
  const suite = parsed.success ? withNames(withPaths(parsed.data, data)) : undefined;
  const mistakes = [
    ...(parsed.success ? [] : mistakesOf(suiteSchema, value, parsed.error.issues)),
    ...(suite === undefined ? [] : [...repeated(suite), ...withoutJudge(suite), ...missing(suite, value)]),
  ];
  const errors = mistakes.map((mistake) => {
    const override = overrideOf(mistake.path, given);
    if (override !== undefined) return mistakeError(mistake, givenBy(override));
    const line = yaml.lineOf(mistake.path);
    return mistakeError(mistake, { file, ...(line === undefined ? {} : { line }) });
  });
  const first = firstOf(errors);
  if (first !== undefined) throw first;
  if (suite === undefined) throw new Error("the schema refused the suite without saying why");
  return { suite, file: resolve(file), baseFolder: folder };
}

/** The name of a benchmark: a task's own where it is given none. */
const withNames = (suite: Suite): Suite => ({
  ...suite,
  benchmarks: suite.benchmarks.map((benchmark) =>
    benchmark.kind === "task" ? { ...benchmark, name: benchmark.name ?? taskName(benchmark.task) } : benchmark,
  ),
});

const isFile = (task: string) => /\.ya?ml$/i.test(task);
const taskName = (task: string): string => (isFile(task) ? task.replace(/^.*[/\\]|\.ya?ml$/gi, "") : task);

function withPaths(suite: Suite, folder: string): Suite {
  const absolute = (path: string) => resolve(folder, expandHome(path));
  const benchmark = <Recipe extends BenchmarkRecipe>(recipe: Recipe): Recipe => {
    const task = recipe.kind === "task" && isFile(recipe.task) ? { task: absolute(recipe.task) } : {};
    const files = Object.entries(recipe).filter(
      ([field, value]) =>
        (dataFields as readonly string[]).includes(field) && typeof value === "string" && !isModelName(recipe, field),
    );
    return {
      ...recipe,
      ...Object.fromEntries(files.map(([field, value]) => [field, absolute(String(value))])),
      ...task,
    };
  };
  const outputs = (model: ContestantRecipe): ContestantRecipe =>
    "outputs" in model
      ? {
          ...model,
          outputs: Object.fromEntries(Object.entries(model.outputs).map(([name, path]) => [name, absolute(path)])),
        }
      : model;
  return { ...suite, models: suite.models.map(outputs), benchmarks: suite.benchmarks.map(benchmark) };
}

/** MT-Bench's baseline is one of the models. */
const isModelName = ({ kind }: BenchmarkRecipe, field: string): boolean => kind === "mt_bench" && field === "baseline";

function repeated({ models, benchmarks }: Suite): Mistake[] {
  const twice = (list: "models" | "benchmarks", names: readonly (string | undefined)[]) =>
    names.flatMap((name, at): Mistake[] =>
      names.indexOf(name) === at
        ? []
        : [
            {
              path: [list, at, "name"],
              message: `${name} is the name of another, too`,
              hint: "Give each its own name.",
            },
          ],
    );
  return [
    ...twice(
      "models",
      models.map(({ name }) => name),
    ),
    ...twice(
      "benchmarks",
      benchmarks.map(({ name }) => name),
    ),
  ];
}

const withoutJudge = ({ judge, benchmarks }: Suite): Mistake[] =>
  benchmarks.flatMap((benchmark, at): Mistake[] =>
    benchmark.kind === "task" || (benchmark.judge ?? judge) !== undefined
      ? []
      : [
          {
            path: ["benchmarks", at, "judge"],
            message: `${benchmark.kind} needs a judge`,
            hint: "Write `judge: {model: ...}` or `judge: {endpoint: {...}}` here or for the whole suite.",
          },
        ],
  );

function missing({ models, benchmarks }: Suite, written: unknown): Mistake[] {
  const absent = (path: Mistake["path"], file: unknown): Mistake[] =>
    typeof file !== "string" || !isAbsolute(file) || existsSync(file)
      ? []
      : [
          {
            path,
            message: `there is no file ${file}`,
            hint: "Paths of a suite are relative to its own folder, or to the folder that --data names.",
          },
        ];
  return [
    ...benchmarks.flatMap((benchmark, at) =>
      [...dataFields, "task"]
        .filter((field) => valueAt(written, ["benchmarks", at, field]) !== undefined)
        .filter((field) => !isModelName(benchmark, field))
        .flatMap((field) => absent(["benchmarks", at, field], (benchmark as Record<string, unknown>)[field])),
    ),
    ...models.flatMap((model, at) =>
      "outputs" in model
        ? Object.entries(model.outputs).flatMap(([name, file]) => absent(["models", at, "outputs", name], file))
        : [],
    ),
  ];
}

/** JSON Schema of a suite as written, for editors. */
export const suiteJsonSchema = (): Record<string, unknown> => ({
  ...z.toJSONSchema(suiteSchema, { io: "input" }),
  title: "Suite of Amalgam",
});
