import type { Objective } from "../../objectives/index.ts";
import { type DataTrainingSettings, TrainingError } from "../../schema/index.ts";
import {
  holdOut,
  type LazyItem,
  type LazyRows,
  matchable,
  matchingBatches,
  mismatchedPartners,
  shuffled,
} from "../../training/index.ts";
import type { Listener } from "../events.ts";
import { fittingOf, lookAtRows, type ReadData } from "./rows.ts";

/** What is learnt from and what is evaluated on, by the indices of the rows. */
export interface Parts<Item> {
  readonly training: readonly Item[];
  readonly heldOut: readonly Item[];
}

interface Parting {
  readonly data: ReadData;
  readonly rows: LazyRows;
  readonly settings: DataTrainingSettings;
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

/**
 * Parts the rows into those to learn from and those to evaluate on: those of files of their own, or a share of the prompts
 * by the seed. The latter are looked at once, since all of them are evaluated before the first step. Where a setting makes
 * an unfit row an error, all are: it comes before the training, not in the midst of it.
 *
 * @throws TrainingError where no row at all can be learnt from, or is left to evaluate on where that was asked for.
 */
export async function partRows({ data, rows, settings, ...around }: Parting): Promise<Parts<number>> {
  const { rows: file, training: count } = data;
  const { held_out_share, seed, unusable, overlong } = settings;
  const all = Array.from({ length: file.count }, (_, index) => index);
  const own = all.slice(count);
  const parted = holdOut(all.slice(0, count), held_out_share, seed, file.promptOf);
  const strict = overlong === "error" || unusable === "error";
  let fits = false;
  await lookAtRows(parted.training, around, (index) => {
    const fit = rows.fits(index);
    fits ||= fit;
    return strict || !fits;
  });
  if (!fits) throw noRow(rows, "no row can be learnt from");
  const heldOut = await fittingOf(rows, [...parted.heldOut, ...own], around);
  if (heldOut.length === 0 && (data.evaluates || held_out_share > 0))
    throw noRow(rows, "no row is left to evaluate on");
  tellShared(data, around.listener);
  return { training: parted.training, heldOut };
}

function noRow(rows: LazyRows, what: string): TrainingError {
  const reasons = rows.counts().leftOut.map(({ reason, rows: count }) => `${count}: ${reason}`);
  return new TrainingError(`${what}${reasons.length > 0 ? ` (${reasons.join("; ")})` : ""}`, {
    hint: "Look at the data and the model's chat template, or raise max_length and max_prompt_length.",
  });
}

/** Who evaluates on prompts that are learnt should know. */
function tellShared({ rows, training }: ReadData, listener: Listener): void {
  const learnt = new Set(Array.from({ length: training }, (_, index) => rows.promptOf(index)));
  let shared = 0;
  for (let index = training; index < rows.count; index++) if (learnt.has(rows.promptOf(index))) shared += 1;
  if (shared > 0) listener.notice(`${shared} of the rows to evaluate on have prompts that are learnt, too`);
}

/**
 * The items of a preference training. Where the objective looks at mismatched responses, all rows are looked at, those that
 * don't fit are gone, and the others stand in batches, as `withMismatched` puts them. `known` are partners that were found
 * before.
 */
export async function preferenceItems(
  parts: Parts<number>,
  { data, rows, settings, ...around }: Parting,
  objective: Objective,
  known?: (index: number) => number | undefined,
): Promise<Parts<LazyItem>> {
  const items = (indices: readonly number[]) => indices.map((index) => ({ index }));
  if (!objective.mismatched) return { training: items(parts.training), heldOut: items(parts.heldOut) };
  const { batch_size, max_length, seed } = settings;
  const { heldOut } = parts;
  const fitting = await fittingOf(rows, parts.training, around);
  const training = shuffled(fitting.length, seed, 0).map((place) => fitting[place]!);
  const indices = [...heldOut, ...training];
  const found = () => {
    const described = indices.map((index) => matchable(rows.at(index)!, data.rows.promptOf(index)));
    const batches = matchingBatches(heldOut.length, training.length, batch_size);
    const matching = { name: objective.name, maxLength: max_length, batches };
    return mismatchedPartners(described, matching).map((place) => indices[place]!);
  };
  const partners = known === undefined ? found() : indices.map((index) => known(index)!);
  const matched = indices.map((index, place) => ({ index, partner: partners[place]! }));
  return { heldOut: matched.slice(0, heldOut.length), training: matched.slice(heldOut.length) };
}
