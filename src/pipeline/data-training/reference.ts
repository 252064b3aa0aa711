import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import type { LoadedModel } from "../../models/index.ts";
import type { Objective } from "../../objectives/index.ts";
import { replaceFile } from "../../schema/index.ts";
import type { DType } from "../../torch/index.ts";
import {
  type ItemReference,
  type KnownRows,
  type LazyItem,
  type LazyRows,
  type ReferenceCache,
  rowOfItem,
  withReference,
} from "../../training/index.ts";
import type { Listener } from "../events.ts";
import { checkInterrupted } from "../run.ts";

/** log pi_ref(y|x) of the responses of each item that fits, by the index of its row; with its partner. */
export type References = ReadonlyMap<number, ItemReference & Pick<LazyItem, "partner">>;

const storedSchema = z.object({
  inputs: z.string(),
  known: z.object({ verdicts: z.array(z.int()), reasons: z.array(z.string()) }),
  /** Row, log-probs of its responses, those of their heads, partner. */
  logps: z.array(z.tuple([z.int(), z.array(z.number()), z.array(z.number()).nullable(), z.int().nullable()])),
});

export interface StoredReference {
  readonly known: KnownRows;
  readonly references: References;
}

/** What an earlier process computed for all of these rows, if it came to their end: then no row need be tokenised again. */
export function storedReference(file: string, inputs: string): StoredReference | undefined {
  if (!existsSync(file)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
  const stored = storedSchema.safeParse(value);
  if (!stored.success || stored.data.inputs !== inputs) return undefined;
  const references = stored.data.logps.map(
    ([index, reference, heads, partner]) =>
      [
        index,
        {
          reference,
          ...(heads === null ? {} : { headReference: heads }),
          ...(partner === null ? {} : { partner }),
        },
      ] as const,
  );
  return { known: stored.data.known, references: new Map(references) };
}

interface Computing {
  readonly model: LoadedModel;
  readonly rows: LazyRows;
  readonly items: readonly LazyItem[];
  readonly objective: Objective;
  readonly cache: ReferenceCache;
  readonly microBatchTokens: number;
  readonly dtype: DType;
  readonly file: string;
  readonly inputs: string;
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

/** Items whose reference is computed at a time: bounds the memory. */
const chunk = 512;

/** The reference's log-probs of all items: those that the cache lacks are computed, and all are noted in the file. */
export async function computeReference(computing: Computing): Promise<References> {
  const { rows, items, objective, listener } = computing;
  const references = new Map<number, ItemReference & Pick<LazyItem, "partner">>();
  for (let start = 0; start < items.length; start += chunk) {
    const some = items.slice(start, start + chunk);
    const fitting = some.flatMap((item) => {
      const row = rowOfItem(rows, item, objective);
      return row === undefined ? [] : [{ item, row }];
    });
    const tell = (done: number) =>
      listener.progress({
        stage: "train",
        label: "reference log-probs",
        done: start + done,
        total: items.length,
        unit: "rows",
      });
    const found = await withReference(
      computing.model,
      fitting.map(({ row }) => row),
      computing.cache,
      { ...computing, heads: objective.needsHeads ?? false, progress: tell },
    );
    if (found === undefined) checkInterrupted(computing);
    for (const [at, { reference, headReference }] of found!.entries()) {
      const { index, ...partner } = fitting[at]!.item;
      references.set(index, { reference, ...(headReference === undefined ? {} : { headReference }), ...partner });
    }
    tell(some.length);
  }
  const logps = [...references].map(([index, of]) => [
    index,
    of.reference,
    of.headReference ?? null,
    of.partner ?? null,
  ]);
  const stored = { inputs: computing.inputs, known: rows.known(), logps };
  replaceFile(computing.file, JSON.stringify(stored));
  return references;
}
