import { createHash } from "node:crypto";

/**
 * The indices 0..count-1 in an order that the seed and the epoch decide: each index gets a digest, and these are sorted.
 * The same on every machine.
 */
export function shuffled(count: number, seed: number, epoch: number): number[] {
  const keys = Array.from({ length: count }, (_, index) =>
    createHash("sha256").update(`${seed}/${epoch}/${index}`).digest("hex"),
  );
  return [...keys.keys()].sort((a, b) => (keys[a]! < keys[b]! ? -1 : 1));
}

/**
 * How a training takes its items: in a new order in every epoch, as they stand, or in the batches that they make as they stand, these
 * in a new order in every epoch: for losses whose items were matched with others of their batch.
 */
export type ItemOrder = "shuffled" | "given" | "batches";

interface Plan {
  readonly batchSize: number;
  readonly epochs: number;
  readonly order: ItemOrder;
  readonly seed: number;
}

/** The items of each optimiser step over all epochs. A fraction of an epoch takes its first items, or its first batches. */
export function plannedBatches(count: number, { batchSize, epochs, order, seed }: Plan): number[][] {
  const given = [...Array(count).keys()];
  if (order !== "batches")
    return batchesOf(count, batchSize, epochs, (epoch) => (order === "given" ? given : shuffled(count, seed, epoch)));
  const blocks = batchesOf(count, batchSize, 1, () => given);
  const steps = batchesOf(blocks.length, 1, epochs, (epoch) => shuffled(blocks.length, seed, epoch));
  return steps.map(([block]) => blocks[block!]!);
}

/** The items of each optimiser step over all epochs; a fraction of an epoch takes its first items. The last step may have fewer. */
export function batchesOf(
  count: number,
  batchSize: number,
  epochs: number,
  orderOf: (epoch: number) => readonly number[],
): number[][] {
  const total = Math.max(1, Math.round(count * epochs));
  const sequence: number[] = [];
  for (let epoch = 0; sequence.length < total; epoch++)
    sequence.push(...orderOf(epoch).slice(0, total - sequence.length));
  const batches: number[][] = [];
  for (let at = 0; at < total; at += batchSize) batches.push(sequence.slice(at, at + batchSize));
  return batches;
}
