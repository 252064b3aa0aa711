import { shiftCounts } from "./counts.ts";
import { type Draw, drawsOf, type StoredDraw, samplerKey } from "./draws.ts";
import { lockFor, now, transact } from "./engine.ts";
import type { Worker } from "./leases.ts";
import type { Database } from "./tables.ts";

/** Replaces what a stage asks for. What stays as it was keeps its counts. */
export async function declareDraws(
  db: Database,
  stage: string,
  draws: readonly Draw[],
  worker?: Worker,
): Promise<void> {
  await transact(db, async (transaction) => {
    // Several workers may come to a new stage at once: what the first one asks for counts.
    await lockFor(transaction, `declare ${stage}`);
    const before = new Map((await drawsOf(transaction, stage)).map((draw) => [draw.source, draw]));
    const isStored = (draw: Draw) => before.has(draw.source) && isSame(before.get(draw.source)!, draw);
    if (before.size === draws.length && draws.every(isStored)) return;
    if (before.size > 0)
      await worker?.refuseBesideOthers(`the recipe asks for other responses under "${stage}" than the ledger holds`);
    for (const { source, identity, sampling, n, splits } of draws) {
      const sampler = samplerKey(identity, sampling);
      await transaction
        .insertInto("samplers")
        .values({ key: sampler, identity, sampling_json: JSON.stringify(sampling), created_at: now(transaction) })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      const known = before.get(source);
      before.delete(source);
      if (known !== undefined && isSame(known, { identity, sampling, n, splits })) continue;
      const row = { sampler, n, splits_json: JSON.stringify(splits) };
      const twin = draws.some((draw) => draw.source !== source && samplerKey(draw.identity, draw.sampling) === sampler);
      const shifts = known?.done != null && !twin && isSame(known, { identity, sampling, n: known.n, splits });
      const counts = shifts ? await shiftCounts(transaction, known, n) : { done: null, unfinished: null };
      const changed = { ...row, ...counts };
      await transaction
        .insertInto("draws")
        .values({ stage, source, ...changed })
        .onConflict((conflict) => conflict.columns(["stage", "source"]).doUpdateSet(changed))
        .execute();
    }
    if (before.size === 0) return;
    const gone = [...before.keys()];
    await transaction.deleteFrom("draws").where("stage", "=", stage).where("source", "in", gone).execute();
    // Scores of what is gone count no longer.
    await transaction.updateTable("draws").set({ done: null, unfinished: null }).where("stage", "=", stage).execute();
  });
}

const isSame = (known: StoredDraw, { identity, sampling, n, splits }: Omit<Draw, "source">): boolean =>
  known.sampler === samplerKey(identity, sampling) &&
  known.n === n &&
  JSON.stringify(known.splits) === JSON.stringify(splits);
