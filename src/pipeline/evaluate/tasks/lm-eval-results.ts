import { createHash } from "node:crypto";
import {
  type Aggregate,
  type Metric,
  type Scores,
  type Task,
  type TaskFigures,
  targetDelimiterOf,
} from "../../../evaluation/index.ts";
import type { TaskRun, TaskSample } from "./runs.ts";

/** What lm-eval writes of one model: `results.json`, and the rows of `samples_<task>.jsonl` by task. */
export interface LmEvalResults {
  readonly results: Readonly<Record<string, unknown>>;
  readonly samples: ReadonlyMap<string, readonly Readonly<Record<string, unknown>>[]>;
}

/**
 * The runs of one model in the form that lm-eval 0.4.5 writes with `--log_samples`: a task for each, for each group of a task one of its
 * own below it, and for each area a group of them between. Whether a continuation is the greedy one is not computed, and said to be `None`.
 */
export function lmEvalResults(model: string, runs: readonly TaskRun[]): LmEvalResults {
  const results: Record<string, Record<string, unknown>> = {};
  const groups: Record<string, Record<string, unknown>> = {};
  const subtasks: Record<string, string[]> = {};
  const configs: Record<string, unknown> = {};
  const versions: Record<string, number | string> = {};
  const shots: Record<string, number> = {};
  const higher: Record<string, Record<string, boolean>> = {};
  const counts: Record<string, { original: number; effective: number }> = {};
  const samples = new Map<string, Record<string, unknown>[]>();

  for (const run of runs) {
    const { task, benchmark, figures } = run;
    const parts = [...run.sizes.keys()];
    const isGroup = parts.some((part) => part !== undefined);
    const better = Object.fromEntries(task.metrics.map(({ key }) => [key.split(",")[0]!, true]));
    const whole = { alias: benchmark, ...aggregates(figures, ({ all }) => all) };
    results[benchmark] = whole;
    higher[benchmark] = better;
    versions[benchmark] = task.version;
    subtasks[benchmark] = [];
    if (isGroup) groups[benchmark] = whole;
    const areaOf = new Map<string | undefined, string>();
    for (const [area, members] of Object.entries(task.areas ?? {})) {
      const own = parts.filter((part) => part !== undefined && members.includes(part));
      if (own.length === 0) continue;
      const name = `${benchmark}_${area.replaceAll(" ", "_")}`;
      const figure = { alias: ` - ${area}`, ...aggregates(figures, ({ areas }) => areas.get(area)) };
      [results[name], groups[name], higher[name], versions[name]] = [figure, figure, better, task.version];
      subtasks[benchmark].push(name);
      subtasks[name] = [];
      for (const part of own) areaOf.set(part, name);
    }
    for (const part of parts) {
      const name = part === undefined ? benchmark : `${benchmark}_${part}`;
      const own = run.samples.filter(({ prompt }) => prompt.group === part);
      if (part !== undefined) {
        subtasks[areaOf.get(part) ?? benchmark]!.push(name);
        results[name] = { alias: `  - ${part}`, ...aggregates(figures, ({ groups }) => groups.get(part)) };
        higher[name] = better;
        versions[name] = task.version;
      }
      configs[name] = configOf(task, name, run.shots);
      shots[name] = run.shots;
      counts[name] = { original: run.sizes.get(part)!, effective: own.length };
      samples.set(
        name,
        own.flatMap((sample) => sampleRows(task, sample)),
      );
    }
  }
  return {
    results: {
      results,
      ...(Object.keys(groups).length === 0 ? {} : { groups }),
      group_subtasks: subtasks,
      configs,
      versions,
      "n-shot": shots,
      higher_is_better: higher,
      "n-samples": counts,
      config: { model: "amalgam", model_args: model, batch_size: null, bootstrap_iters: 0, gen_kwargs: null },
      model_name: model,
    },
    samples,
  };
}

function aggregates(
  figures: readonly TaskFigures[],
  take: (figures: TaskFigures) => Aggregate | null | undefined,
): Record<string, number | string> {
  return Object.fromEntries(
    figures.flatMap((of) => {
      const [name, filter] = of.metric.key.split(",");
      const figure = take(of);
      return figure == null
        ? []
        : [
            [of.metric.key, figure.value],
            [`${name}_stderr,${filter}`, figure.standardError ?? "N/A"],
          ];
    }),
  );
}

const configOf = (task: Task, name: string, shots: number) => ({
  task: name,
  ...(task.config === undefined ? {} : { dataset_name: task.config }),
  ...(task.splits.training === undefined ? {} : { training_split: task.splits.training }),
  ...(task.splits.validation === undefined ? {} : { validation_split: task.splits.validation }),
  ...(task.splits.test === undefined ? {} : { test_split: task.splits.test }),
  ...(task.splits.fewShot === undefined ? {} : { fewshot_split: task.splits.fewShot }),
  ...(task.sampler === "first" ? { fewshot_config: { sampler: "first_n" } } : {}),
  target_delimiter: targetDelimiterOf(task),
  fewshot_delimiter: task.fewShotDelimiter ?? "\n\n",
  num_fewshot: shots,
  metric_list: [...new Set(task.metrics.map(({ key }) => key.split(",")[0]!))].map((metric) => ({
    metric,
    aggregation: "mean",
    higher_is_better: true,
  })),
  output_type: task.kind === "choices" ? "multiple_choice" : "generate_until",
  ...(task.kind === "written"
    ? { generation_kwargs: { until: task.until, do_sample: false, temperature: 0, max_gen_toks: task.maxTokens } }
    : {}),
  repeats: 1,
  metadata: { version: task.version },
});

/** A row for each filter, as lm-eval writes them: one where the task has none. */
function sampleRows(task: Task, { prompt, reply, scores }: TaskSample): Record<string, unknown>[] {
  const { document, row, index, requests } = prompt;
  const target = task.kind === "choices" ? String(task.gold(document)) : task.answer(document);
  const generation = task.kind === "written" ? { until: task.until, do_sample: false, temperature: 0 } : undefined;
  const filters = [...new Set(task.metrics.map(({ key }) => key.split(",")[1]!))];
  const extracted = task.kind === "written" ? task.extract?.(reply as string) : undefined;
  const replies = typeof reply === "string" ? [reply] : reply.map((value) => [pythonFloat(value), "None"]);
  return filters.map((filter) => ({
    doc_id: index,
    doc: row,
    target,
    arguments: Object.fromEntries(
      requests.map(({ context, continuation }, at) => [
        `gen_args_${at}`,
        { arg_0: context, arg_1: generation ?? continuation },
      ]),
    ),
    resps: replies.map((one) => [one]),
    filtered_resps: typeof reply === "string" ? [extracted?.[filter] ?? reply] : replies,
    doc_hash: sha256(JSON.stringify(row, null, 2)),
    prompt_hash: sha256(requests[0]!.context),
    target_hash: sha256(target),
    ...(filters.length > 1 ? { filter } : {}),
    ...ownScores(task.metrics, scores, filter),
  }));
}

const ownScores = (metrics: readonly Metric[], scores: Scores, filter: string) =>
  Object.fromEntries(
    metrics
      .map(({ key }) => [key, ...key.split(",")] as const)
      .filter(([, , of]) => of === filter)
      .map(([key, name]) => [name, scores[key]]),
  );

/** Python writes whole numbers of this type with a point. */
const pythonFloat = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value));

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
