import type { Objective } from "../objectives/index.ts";
import type { LazyRows } from "./lazy-rows.ts";
import { preferenceTask } from "./preference.ts";
import type { PreferenceRow } from "./response-table.ts";
import type { TrainingRow } from "./rows.ts";
import { type PackedSequence, sftTask } from "./sft.ts";
import type { TrainingTask } from "./task.ts";

/** A row of the file whose tokens are made when they are looked at. */
function lazyRow(rows: LazyRows, index: number, reference: readonly number[] | undefined): PreferenceRow {
  const row = (): TrainingRow => {
    const found = rows.at(index);
    if (found === undefined) throw new Error(`row ${index} was left out`);
    return found;
  };
  return {
    get id() {
      return row().id;
    },
    get prompt() {
      return row().prompt;
    },
    get responses() {
      return row().responses;
    },
    ...(reference === undefined ? {} : { reference }),
  };
}

/** Rows that are left out only when their batch comes are passed over there. */
function passingOver<Item>(task: TrainingTask<Item>, rows: LazyRows, indices: readonly number[]): TrainingTask<Item> {
  const indexOf = new Map(task.items.map((item, at) => [item, indices[at]!]));
  return { ...task, has: (item) => rows.at(indexOf.get(item)!) !== undefined };
}

const allIndices = (rows: LazyRows): number[] => Array.from({ length: rows.count }, (_, index) => index);

/**
 * Preference training, by an objective that looks at one row at a time, on rows that are tokenised when they come. With the reference's log-probs, those of each row by its
 * index, the rows that were left out are known and not counted; without, each is passed over in its batch.
 */
export function lazyPreferenceTask(
  rows: LazyRows,
  objective: Objective,
  reference?: ReadonlyMap<number, readonly number[]>,
): TrainingTask<PreferenceRow> {
  const indices = reference === undefined ? allIndices(rows) : [...reference.keys()];
  const items = indices.map((index) => lazyRow(rows, index, reference?.get(index)));
  return passingOver(preferenceTask(items, objective, { whole: true }), rows, indices);
}

/** Supervised tuning on rows that are tokenised when they come; an item is a row. */
export function lazySftTask(rows: LazyRows): TrainingTask<PackedSequence> {
  const indices = allIndices(rows);
  const items = indices.map((index) => [lazyRow(rows, index, undefined)]);
  return passingOver(sftTask(items), rows, indices);
}
