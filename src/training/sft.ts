import { batchTokenLogProbs, bundleTokens, packBundles } from "../scoring/index.ts";
import type { TrainingRow } from "./rows.ts";
import type { TrainingTask } from "./task.ts";

/** Rows packed into one sequence. Each sees itself only. */
export type PackedSequence = readonly TrainingRow[];

/** Packs rows, in their order, into sequences of at most `maxLength` tokens: the first sequence with room takes a row. */
export function packSequences(rows: readonly TrainingRow[], maxLength: number): PackedSequence[] {
  const sequences: { rows: TrainingRow[]; tokens: number }[] = [];
  for (const row of rows) {
    const tokens = bundleTokens(row);
    const open = sequences.find((sequence) => sequence.tokens + tokens <= maxLength);
    if (open === undefined) {
      sequences.push({ rows: [row], tokens });
    } else {
      open.rows.push(row);
      open.tokens += tokens;
    }
  }
  return sequences.map((sequence) => sequence.rows);
}

const responseTokens = (sequence: PackedSequence): number =>
  sequence.reduce((sum, row) => sum + row.responses.reduce((inner, response) => inner + response.length, 0), 0);

/**
 * Supervised tuning: the mean cross-entropy of the response tokens of a batch. An item is a packed sequence, whose rows
 * don't see each other; prompts carry no loss.
 */
export function sftTask(sequences: readonly PackedSequence[]): TrainingTask<PackedSequence> {
  return {
    items: sequences,
    tokensOf: (sequence) => sequence.reduce((sum, row) => sum + bundleTokens(row), 0),
    weightOf: responseTokens,
    nameOf: (sequence) => sequence.map((row) => row.id).join(", "),
    bundlesOf: (sequence) => sequence,
    compute(model, items, _progress, options) {
      const batch = packBundles(items.flat(), model.parameters.get("model.embed_tokens.weight")!.device);
      return { loss: batchTokenLogProbs(model, batch, options).sum().neg(), metrics: {} };
    },
  };
}
