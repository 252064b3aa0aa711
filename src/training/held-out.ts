import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Decoder, ForwardOptions } from "../models/index.ts";
import { contentKey, TrainingError } from "../schema/index.ts";
import { microBatches } from "../scoring/index.ts";
import { noGrad, scope } from "../torch/index.ts";
import type { TrainingRow } from "./rows.ts";
import type { TrainingTask } from "./task.ts";

/**
 * Parts rows into those to train on and those held out, by the seed and what `promptOf` says of each prompt: rows of one
 * prompt are on one side, and another row changes no other's side. At least one prompt is held out, and at least one is not.
 *
 * @throws TrainingError where a share is to be held out and there is one prompt only.
 */
export function holdOut<Row>(
  rows: readonly Row[],
  share: number,
  seed: number,
  promptOf: (row: Row) => string,
): { training: Row[]; heldOut: Row[] } {
  if (share === 0) return { training: [...rows], heldOut: [] };
  const digestOf = (row: Row) =>
    createHash("sha256")
      .update(`${seed}/held-out/${promptOf(row)}`)
      .digest("hex");
  const digests = rows.map(digestOf);
  const distinct = [...new Set(digests)].sort();
  if (distinct.length < 2)
    throw new TrainingError("nothing can be held out: the rows have one prompt only", {
      hint: "Set held_out_share: 0, or train on more prompts.",
    });
  // A digest is a uniform number: below the share it is held out.
  const most = Math.floor(share * 2 ** 32);
  const low = distinct.filter((digest) => Number.parseInt(digest.slice(0, 8), 16) < most);
  const chosen = new Set(low.length === 0 ? distinct.slice(0, 1) : low.slice(0, distinct.length - 1));
  return {
    training: rows.filter((_, k) => !chosen.has(digests[k]!)),
    heldOut: rows.filter((_, k) => chosen.has(digests[k]!)),
  };
}

/** A prompt's tokens, as a digest. */
export const promptTokensOf = ({ prompt }: Pick<TrainingRow, "prompt">): string => contentKey(prompt);

/**
 * Means of the loss and of the task's metrics over its held-out items, under the names `eval/...`. The objective's settings
 * are those of the training's end (progress 1), so that evaluations compare with one another. A loss that looks at a batch
 * as a whole takes all of these items for one, whatever the micro-batches and the batches of the training. Takes a forward
 * pass; no gradient is recorded. Undefined where the signal ended it.
 */
export async function evaluateHeldOut<Item>(
  model: Decoder,
  task: TrainingTask<Item>,
  microBatchTokens: number,
  options: ForwardOptions,
  signal?: AbortSignal,
): Promise<Record<string, number> | undefined> {
  const items = task.heldOut ?? [];
  const total = items.reduce((sum, item) => sum + task.weightOf(item), 0);
  const sums = new Map<string, number>();
  const micros = microBatches(items, task.tokensOf, microBatchTokens);
  if (task.evaluate !== undefined && items.length > 0) {
    const figures = await task.evaluate({ model, microBatches: micros, progress: 1, options, signal });
    return figures && named(Object.entries(figures));
  }
  for (const micro of micros) {
    if (signal?.aborted) return undefined;
    const figures = noGrad(() =>
      scope(() => {
        const { loss, metrics } = task.compute(model, micro, 1, options);
        return Object.entries({ loss, ...metrics }).map(([name, sum]) => [name, sum.item() as number] as const);
      }),
    );
    for (const [name, value] of figures) sums.set(name, (sums.get(name) ?? 0) + value / total);
    await nextTurn();
  }
  return named([...sums]);
}

const named = (figures: readonly (readonly [string, number])[]) =>
  Object.fromEntries(figures.map(([name, value]) => [`eval/${name}`, value]));
