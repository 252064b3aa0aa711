import { z } from "zod";
import { amended, DataError, type LoadedTaskFile, loadTaskFile, type TaskFile } from "../../schema/index.ts";
import { acc, accNorm, choiceScores } from "./choice-scores.ts";
import { exactMatch, regexFilter } from "./exact-match.ts";
import {
  type Choice,
  type ChoiceTask,
  defineTask,
  type Metric,
  type Scores,
  type Task,
  type WrittenTask,
} from "./task.ts";
import { rowTemplate } from "./template.ts";

type Row = Readonly<Record<string, unknown>>;

/**
 * A task of a YAML file in lm-eval's words: `doc_to_text`, `doc_to_target` and `doc_to_choice` are fields or Jinja.
 *
 * @throws RecipeError with file, line and field for whatever is wrong with it. What its fields can't make of a row is a DataError that says
 *   which field it was.
 */
export function loadTask(file: string): Task {
  const loaded = loadTaskFile(file);
  const { task } = loaded;
  const text = textOf(loaded, "doc_to_text");
  const target = textOf(loaded, "doc_to_target");
  const description = textOf(loaded, "description");
  const group = task.group_by;
  const common = {
    name: task.task,
    version: task.metadata?.version ?? 0,
    row: z.record(z.string(), z.unknown()),
    splits: {
      ...(task.training_split === undefined ? {} : { training: task.training_split }),
      ...(task.validation_split === undefined ? {} : { validation: task.validation_split }),
      ...(task.test_split === undefined ? {} : { test: task.test_split }),
      ...(task.fewshot_split === undefined ? {} : { fewShot: task.fewshot_split }),
    },
    ...(task.dataset_name == null ? {} : { config: task.dataset_name }),
    shots: task.num_fewshot,
    sampler: task.fewshot_config?.sampler === "first_n" ? ("first" as const) : ("drawn" as const),
    targetDelimiter: task.target_delimiter,
    fewShotDelimiter: task.fewshot_delimiter,
    ...(group === undefined ? {} : { group: groupOf(loaded, group) }),
    description: (row: Row) => (task.description === "" ? "" : asText(description(row), "description")),
    shown: (row: Row) => asText(text(row), "doc_to_text"),
  };
  return task.output_type === "multiple_choice"
    ? defineTask<Row>({ ...common, ...choicePart(loaded, text, target) })
    : defineTask<Row>({ ...common, ...writtenPart(loaded, text, target) });
}

type Read<Value = unknown> = (row: Row) => Value;
type TextField = "description" | "doc_to_text" | "doc_to_target" | "doc_to_choice";

function fieldOf(row: Row, name: string): unknown {
  if (row[name] === undefined)
    throw new DataError(`the row has no field ${name}`, {
      field: name,
      hint: `It has ${Object.keys(row).join(", ")}.`,
    });
  return row[name];
}

/** A reading of rows; what fails in it says which field of the YAML it was. */
function told<Value>({ mistake }: LoadedTaskFile, field: TextField | "group_by", read: Read<Value>): Read<Value> {
  const { file, line } = mistake([field], "").place;
  const hint = `That is what \`${field}\` asks for, ${file}${line === undefined ? "" : `:${line}`}.`;
  return (row) => amended({ hint }, () => read(row));
}

const groupOf = (loaded: LoadedTaskFile, name: string): Read<string> =>
  told(loaded, "group_by", (row) => asText(fieldOf(row, name), "group_by"));

/** What a field of the YAML says of a row: a field of the row by its name, else Jinja. */
function textOf(loaded: LoadedTaskFile, field: TextField): Read {
  const { task, mistake } = loaded;
  const written = task[field];
  if (typeof written !== "string") return () => written;
  const template = (() => {
    try {
      return rowTemplate(written);
    } catch (error) {
      throw mistake([field], `is no Jinja: ${(error as Error).message}`);
    }
  })();
  return told(loaded, field, (row) => (Object.hasOwn(row, written) ? row[written] : template.value(row)));
}

function asText(value: unknown, what: string): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw new DataError(`${what} gives ${JSON.stringify(value)}, and should give a text`);
}

/** A number, or the text of one: lm-eval reads both as the place of a choice. */
function asPlace(value: unknown): number | undefined {
  if (typeof value === "number" && Number.isInteger(value)) return value;
  return typeof value === "string" && /^\d+$/.test(value) ? Number(value) : undefined;
}

const metricOf = (metric: string, filter: string, title: string): Metric => ({
  key: `${metric},${filter}`,
  title,
  of: "mean",
});

function choicePart(
  loaded: LoadedTaskFile,
  text: Read,
  target: Read,
): Pick<ChoiceTask<Row>, "kind" | "metrics" | "choices" | "gold" | "score"> {
  const read = textOf(loaded, "doc_to_choice");
  const wanted = loaded.task.metric_list?.map(({ metric }) => metric) ?? ["acc", "acc_norm"];
  const texts = (row: Row): string[] => {
    const list = read(row);
    if (Array.isArray(list) && list.length > 0) return list.map((one) => asText(one, "doc_to_choice"));
    throw new DataError(`doc_to_choice gives ${JSON.stringify(list)}, and should give a list`);
  };
  const gold = (row: Row): number => {
    const list = texts(row);
    // A text that is a number is the place of the beginning: the target is what follows all of them.
    const said = asPlace(text(row)) ?? asPlace(target(row)) ?? list.indexOf(asText(target(row), "doc_to_target"));
    if (said >= 0 && said < list.length) return said;
    throw new DataError(`doc_to_target gives ${JSON.stringify(target(row))}, which is none of the choices`, {
      hint: `They are ${list.map((one) => JSON.stringify(one)).join(", ")}.`,
    });
  };
  const choices = (row: Row): Choice[] => {
    const before = text(row);
    if (asPlace(before) === undefined)
      return texts(row).map((answer) => ({ before: asText(before, "doc_to_text"), answer }));
    const answer = asText(target(row), "doc_to_target");
    return texts(row).map((beginning) => ({ before: beginning, answer }));
  };
  const known = { acc, acc_norm: accNorm };
  return {
    kind: "choices",
    metrics: wanted.map((name) => known[name as keyof typeof known]) as [Metric, ...Metric[]],
    choices,
    gold,
    score: (row, logLikelihoods) => {
      const scores = choiceScores(
        texts(row).map((answer) => ({ before: "", answer })),
        [gold(row)],
        logLikelihoods,
      );
      return Object.fromEntries(wanted.map((name) => [`${name},none`, scores[`${name},none`]!]));
    },
  };
}

function writtenPart(
  loaded: LoadedTaskFile,
  text: Read,
  target: Read,
): Pick<WrittenTask<Row>, "kind" | "metrics" | "question" | "answer" | "until" | "maxTokens" | "extract" | "score"> {
  const { task } = loaded;
  const filters = Object.fromEntries(
    (task.filter_list ?? [{ name: "none", filter: [{ function: "take_first" as const }] }]).map(
      ({ name, filter }, at) => [name, filterOf(loaded, filter, at)],
    ),
  );
  const comparing = (task.metric_list ?? [undefined]).map((metric, at) =>
    exactMatch({
      ignored: (metric?.regexes_to_ignore ?? []).map((pattern, k) =>
        pythonRegex(loaded, pattern, ["metric_list", at, "regexes_to_ignore", k]),
      ),
      ignoreCase: metric?.ignore_case ?? false,
      ignorePunctuation: metric?.ignore_punctuation ?? false,
    }),
  );
  if (comparing.length > 1) throw loaded.mistake(["metric_list", 1], "exact_match stands twice");
  const names = Object.keys(filters);
  const answer = (row: Row) => asText(target(row), "doc_to_target");
  const until = task.generation_kwargs?.until ?? [];
  return {
    kind: "written",
    metrics: names.map((name) => metricOf("exact_match", name, names.length === 1 ? "exact match" : name)) as [
      Metric,
      ...Metric[],
    ],
    question: (row) => asText(text(row), "doc_to_text"),
    answer,
    until: typeof until === "string" ? [until] : until,
    maxTokens: task.generation_kwargs?.max_gen_toks ?? 256,
    extract: (said) => Object.fromEntries(names.map((name) => [name, filters[name]!(said)])),
    score: (row, said): Scores =>
      Object.fromEntries(
        names.map((name) => [`exact_match,${name}`, comparing[0]!(filters[name]!(said), answer(row))]),
      ),
  };
}

type Filters = NonNullable<TaskFile["filter_list"]>[number]["filter"];

function filterOf(loaded: LoadedTaskFile, steps: Filters, at: number): (text: string) => string {
  const made = steps.map((step, k) =>
    step.function === "take_first"
      ? (text: string) => text
      : regexFilter(
          pythonRegex(loaded, step.regex_pattern, ["filter_list", at, "filter", k, "regex_pattern"]),
          step.group_select,
          step.fallback,
        ),
  );
  return (text) => made.reduce((rest, step) => step(rest), text);
}

/** A pattern in Python's words: flags at its beginning, `$` before a last line break. */
function pythonRegex({ mistake }: LoadedTaskFile, pattern: string, path: readonly PropertyKey[]): RegExp {
  const [head = "", flags = ""] = /^\(\?([ims]+)\)/.exec(pattern) ?? [];
  const source = pattern.slice(head.length).replace(/(?<!\\)((?:\\\\)*)\$$/, "$1(?=\\n?$(?![\\s\\S]))");
  try {
    return new RegExp(source, `g${flags}`);
  } catch (error) {
    throw mistake(path, `is no pattern: ${(error as Error).message}`);
  }
}
