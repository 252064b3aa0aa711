import type { Objective } from "../objectives/index.ts";
import { TrainingError } from "../schema/index.ts";
import { promptTokensOf } from "./held-out.ts";
import { shuffled } from "./order.ts";
import type { TrainingRow } from "./rows.ts";

/** What has to be known of a row to match it with another's responses. */
export interface Matchable {
  readonly id: string;
  /** Tells prompts apart. */
  readonly prompt: string;
  /** Tokens of the prompt, and of the longest response. */
  readonly promptLength: number;
  readonly longest: number;
}

export interface Matching {
  /** The objective's name, for errors. */
  readonly name: string;
  /** Tokens that a prompt and another row's response may have together. */
  readonly maxLength: number;
  /** The number of rows of each batch, in the order of the rows; together all of them. */
  readonly batches: readonly number[];
}

/**
 * For each row the row whose responses are its mismatched ones, which the KL term of KTO is estimated from (Ethayarajh et
 * al. 2024, section 4.2): the nearest one before it in its batch (the last stands before the first) that has another prompt,
 * and whose responses fit; where the batch has none, the nearest one before it at all. So the batch's mismatched responses
 * are its own ones at other prompts, as TRL's trainer rotates them.
 *
 * @throws TrainingError for a row that no other fits.
 */
export function mismatchedPartners(rows: readonly Matchable[], { name, maxLength, batches }: Matching): number[] {
  const partners: number[] = [];
  let start = 0;
  for (const size of batches) {
    for (let row = start; row < start + size; row++)
      partners.push(
        nearest(rows, row, { start, size }, maxLength) ??
          nearest(rows, row, { start: 0, size: rows.length }, maxLength) ??
          none(name, rows[row]!.id, maxLength),
      );
    start += size;
  }
  return partners;
}

interface Among {
  readonly start: number;
  readonly size: number;
}

function nearest(rows: readonly Matchable[], row: number, { start, size }: Among, most: number): number | undefined {
  const { prompt, promptLength } = rows[row]!;
  for (let back = 1; back < size; back++) {
    const place = start + ((row - start - back + size) % size);
    const other = rows[place]!;
    if (other.prompt !== prompt && promptLength + other.longest <= most) return place;
  }
  return undefined;
}

function none(name: string, id: string, maxLength: number): never {
  throw new TrainingError(`${name} needs another row's responses, and none fits the prompt of ${id}`, {
    hint: `It compares with rows of other prompts, within max_length (${maxLength}): give more rows, or raise it.`,
  });
}

/** A row with the responses of another one. */
export function withPartner(row: TrainingRow, other: TrainingRow, objective: Objective): TrainingRow {
  const mismatched = other.responses.map(() => "mismatched" as const);
  return {
    ...row,
    responses: [...row.responses, ...other.responses],
    roles: [...(row.roles ?? objective.roles), ...mismatched],
  };
}

export const matchable = (row: TrainingRow, prompt = promptTokensOf(row)): Matchable => ({
  id: row.id,
  prompt,
  promptLength: row.prompt.length,
  longest: Math.max(...row.responses.map((response) => response.length)),
});

/** The sizes of the batches in which rows are matched: those held out are one, and then so many at a time of those to learn from. */
export function matchingBatches(heldOut: number, training: number, batchSize: number): number[] {
  const whole = Array<number>(Math.floor(training / batchSize)).fill(batchSize);
  return [heldOut, ...whole, training % batchSize].filter((size) => size > 0);
}

/** Rows to learn from and rows held out, with what an objective needs of other rows. */
export interface MatchedRows {
  /** In batches: to be taken in the order "batches" where the objective looks at mismatched responses. */
  readonly training: readonly TrainingRow[];
  readonly heldOut: readonly TrainingRow[];
}

/**
 * For an objective that looks at mismatched responses: the training rows in an order by the seed, so that so many at a time
 * are a batch, each with another row's responses; the rows held out as one batch. The batches are the same in every epoch,
 * so that the reference's log-probs are computed once like all others. For other objectives the rows as they are.
 *
 * @throws TrainingError for a row that no other fits.
 */
export function withMismatched(
  { training, heldOut }: MatchedRows,
  objective: Objective,
  { maxLength, batchSize, seed }: { readonly maxLength: number; readonly batchSize: number; readonly seed: number },
): MatchedRows {
  if (!objective.mismatched) return { training, heldOut };
  const rows = [...heldOut, ...shuffled(training.length, seed, 0).map((index) => training[index]!)];
  const batches = matchingBatches(heldOut.length, training.length, batchSize);
  const partners = mismatchedPartners(
    rows.map((row) => matchable(row)),
    { name: objective.name, maxLength, batches },
  );
  const matched = rows.map((row, k) => withPartner(row, rows[partners[k]!]!, objective));
  return { heldOut: matched.slice(0, heldOut.length), training: matched.slice(heldOut.length) };
}
