import { mean } from "../mean.ts";
import type { Metric, Scores, Task } from "./task.ts";

/** A figure of some documents; the standard error is null where lm-eval has none. */
export interface Aggregate {
  readonly value: number;
  readonly standardError: number | null;
  readonly size: number;
}

/** The mean's standard error by the sample's deviation (ddof 1), summed as lm-eval sums; null for fewer than two values. */
function meanStandardError(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const centre = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1)) / Math.sqrt(values.length);
}

/** One metric over the documents' scores. */
export function aggregate({ key, of }: Metric, scores: readonly Scores[]): Aggregate {
  const values = scores.map((one) => one[key]!);
  if (of === "mean") {
    const numbers = values as readonly number[];
    return { value: mean(numbers), standardError: meanStandardError(numbers), size: numbers.length };
  }
  const verdicts = (values as readonly (readonly boolean[])[]).flat();
  return { value: mean(verdicts.map(Number)), standardError: null, size: values.length };
}

/**
 * Groups as one figure, as lm-eval has them: the mean weighted by size, and the standard error by the pooled variance,
 * sqrt(sum (n_g - 1) n_g se_g^2 / (N - G) / N).
 */
function pooled(groups: readonly Aggregate[]): Aggregate {
  const size = groups.reduce((sum, group) => sum + group.size, 0);
  const value = groups.reduce((sum, group) => sum + group.value * group.size, 0) / size;
  const known = groups.every(({ standardError }) => standardError !== null);
  const variance =
    groups.reduce((sum, group) => sum + (group.size - 1) * (group.standardError ?? 0) ** 2 * group.size, 0) /
    (size - groups.length);
  return { value, standardError: known ? Math.sqrt(variance / size) : null, size };
}

/** What a metric comes to: for all documents, for each group where the task has groups, and for each area that has documents. */
export interface TaskFigures {
  readonly metric: Metric;
  /** null where there is no document. */
  readonly all: Aggregate | null;
  readonly groups: ReadonlyMap<string, Aggregate>;
  readonly areas: ReadonlyMap<string, Aggregate>;
}

/** The figures of one metric over documents with their scores. */
export function figuresOf(
  { areas = {} }: Pick<Task, "areas">,
  metric: Metric,
  documents: readonly { readonly group: string | undefined; readonly scores: Scores }[],
): TaskFigures {
  if (documents.length === 0) return { metric, all: null, groups: new Map(), areas: new Map() };
  const byGroup = new Map<string, Scores[]>();
  for (const { group, scores } of documents) {
    if (group === undefined) continue;
    const members = byGroup.get(group);
    if (members === undefined) byGroup.set(group, [scores]);
    else members.push(scores);
  }
  const groups = new Map([...byGroup].map(([group, scores]) => [group, aggregate(metric, scores)]));
  const ofAreas = Object.entries(areas).flatMap(([area, names]) => {
    const parts = names.flatMap((name) => groups.get(name) ?? []);
    return parts.length === 0 ? [] : [[area, pooled(parts)] as const];
  });
  const all =
    groups.size === 0
      ? aggregate(
          metric,
          documents.map(({ scores }) => scores),
        )
      : pooled([...groups.values()]);
  return { metric, all, groups, areas: new Map(ofAreas) };
}
