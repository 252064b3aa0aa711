import type { Objective } from "../objectives/index.ts";
import type { LazyRows } from "./lazy-rows.ts";
import { withPartner } from "./mismatched.ts";
import type { MovingReference } from "./moving-reference.ts";
import { preferenceTask } from "./preference.ts";
import type { PreferenceRow } from "./response-table.ts";
import type { TrainingRow } from "./rows.ts";
import { supervisedTask } from "./sft.ts";
import type { TrainingTask } from "./task.ts";

/** A row of the file, by its index; with that of the row whose responses are its mismatched ones. */
export interface LazyItem {
  readonly index: number;
  readonly partner?: number;
}

/** log pi_ref of an item's responses, and of their heads where the objective looks at them. */
export interface ItemReference {
  readonly reference: readonly number[];
  readonly headReference?: readonly number[];
}

/** The tokens of an item; undefined where one of its rows was left out. */
export function rowOfItem(rows: LazyRows, { index, partner }: LazyItem, objective: Objective): TrainingRow | undefined {
  const row = rows.at(index);
  if (row === undefined || partner === undefined) return row;
  const other = rows.at(partner);
  return other === undefined ? undefined : withPartner(row, other, objective);
}

interface LazyPreferences {
  readonly rows: LazyRows;
  readonly objective: Objective;
  readonly training: readonly LazyItem[];
  readonly heldOut: readonly LazyItem[];
  /** Of all items, by their index; without, each item that was left out is passed over in its batch. */
  readonly references?: ReadonlyMap<number, ItemReference>;
  readonly moving?: MovingReference;
}

/** Preference training on rows that are tokenised when they come. */
export function lazyPreferenceTask(given: LazyPreferences): TrainingTask<PreferenceRow> {
  const { rows, objective, training, heldOut, references, moving } = given;
  const items = new Map<PreferenceRow, LazyItem>();
  const lazily = (item: LazyItem): PreferenceRow => {
    const row = lazyRow(rows, item, objective, references?.get(item.index));
    items.set(row, item);
    return row;
  };
  const task = preferenceTask(training.map(lazily), objective, { reference: moving, whole: true });
  return {
    ...task,
    heldOut: heldOut.map(lazily),
    has(row) {
      const { index, partner } = items.get(row)!;
      return rows.fits(index) && (partner === undefined || rows.fits(partner));
    },
  };
}

/** A row whose tokens are made when they are looked at. */
function lazyRow(
  rows: LazyRows,
  item: LazyItem,
  objective: Objective,
  reference: ItemReference | undefined,
): PreferenceRow {
  const row = (): TrainingRow => {
    const found = rowOfItem(rows, item, objective);
    if (found === undefined) throw new Error(`row ${item.index} was left out`);
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
    get roles() {
      return row().roles ?? objective.roles;
    },
    ...reference,
  };
}

/** Rows by their indices that are learnt as one item. */
export type LazySequence = readonly number[];

/** Supervised tuning on rows that are tokenised when they come. Of a sequence the rows that were left out are passed over. */
export function lazySftTask(
  rows: LazyRows,
  training: readonly LazySequence[],
  heldOut: readonly LazySequence[],
): TrainingTask<LazySequence> {
  const rowsOf = (sequence: LazySequence) => sequence.flatMap((index) => rows.at(index) ?? []);
  return { ...supervisedTask(training, rowsOf), heldOut, has: (sequence) => sequence.some(rows.fits) };
}
