import { batchTokenLogProbs, bundleTokens, packBundles } from "../scoring/index.ts";
import { packed } from "./packing.ts";
import { dropByRow } from "./row-dropout.ts";
import type { TrainingRow } from "./rows.ts";
import type { TrainingTask } from "./task.ts";

/** Rows packed into one sequence. Each sees itself only. */
export type PackedSequence = readonly TrainingRow[];

/** Packs rows, in their order, into sequences of at most `maxLength` tokens: the first sequence with room takes a row. */
export const packSequences = (rows: readonly TrainingRow[], maxLength: number): PackedSequence[] =>
  packed(rows.map(bundleTokens), maxLength).map((sequence) => sequence.map((index) => rows[index]!));

const responseTokens = (sequence: PackedSequence): number =>
  sequence.reduce((sum, row) => sum + row.responses.reduce((inner, response) => inner + response.length, 0), 0);

/**
 * Supervised tuning: the mean cross-entropy of the response tokens of a batch. An item is a packed sequence, whose rows
 * don't see each other; prompts carry no loss.
 */
export const sftTask = (sequences: readonly PackedSequence[]): TrainingTask<PackedSequence> =>
  supervisedTask(sequences, (sequence) => sequence);

/** The same of items whose rows are made when they are asked for. */
export function supervisedTask<Item>(
  items: readonly Item[],
  rowsOf: (item: Item) => PackedSequence,
): TrainingTask<Item> {
  return {
    items,
    tokensOf: (item) => rowsOf(item).reduce((sum, row) => sum + bundleTokens(row), 0),
    weightOf: (item) => responseTokens(rowsOf(item)),
    nameOf: (item) =>
      rowsOf(item)
        .map((row) => row.id)
        .join(", "),
    bundlesOf: rowsOf,
    compute(model, some, _progress, options) {
      const rows = some.flatMap(rowsOf);
      dropByRow(rows, options);
      const batch = packBundles(rows, model.parameters.get("model.embed_tokens.weight")!.device);
      return { loss: batchTokenLogProbs(model, batch, options).sum().neg(), metrics: {} };
    },
  };
}
