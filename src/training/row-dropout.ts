import { dropBy } from "../nn/index.ts";
import { contentKey } from "../schema/index.ts";
import { bundleTokens } from "../scoring/index.ts";
import type { TrainingRow } from "./rows.ts";
import type { TaskOptions } from "./task.ts";

const seedOf = (value: unknown) => Number.parseInt(contentKey(value).slice(0, 8), 16);

/**
 * Has the forward pass on these rows that comes next, and its backward, drop by the seed of the options and by each row's id
 * and prompt: whatever the micro-batches are, and in the two passes of a coupled loss alike, the same falls out. Rows that
 * are the same drop the same.
 */
export function dropByRow(rows: readonly TrainingRow[], { dropoutSeed }: TaskOptions): void {
  if (dropoutSeed === undefined) return;
  dropBy(
    rows.map((row) => ({ rows: bundleTokens(row), seed: seedOf({ dropoutSeed, id: row.id, prompt: row.prompt }) })),
  );
}
