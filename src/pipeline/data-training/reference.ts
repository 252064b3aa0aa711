import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import type { LoadedModel } from "../../models/index.ts";
import type { DType } from "../../torch/index.ts";
import { type KnownRows, type LazyRows, type ReferenceCache, withReference } from "../../training/index.ts";
import type { Listener } from "../events.ts";
import { checkInterrupted } from "../run.ts";

/** log pi_ref(y|x) of each row that fits, by the row's index. */
export type ReferenceByRow = ReadonlyMap<number, readonly number[]>;

const storedSchema = z.object({
  inputs: z.string(),
  known: z.object({ verdicts: z.array(z.int()), reasons: z.array(z.string()) }),
  logps: z.array(z.tuple([z.int(), z.array(z.number())])),
});

/** What an earlier process computed for all of these rows, if it came to their end: then no row need be tokenised again. */
export function storedReference(
  file: string,
  inputs: string,
): { readonly known: KnownRows; readonly reference: ReferenceByRow } | undefined {
  if (!existsSync(file)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
  const stored = storedSchema.safeParse(value);
  if (!stored.success || stored.data.inputs !== inputs) return undefined;
  return { known: stored.data.known, reference: new Map(stored.data.logps) };
}

interface Computing {
  readonly model: LoadedModel;
  readonly rows: LazyRows;
  readonly cache: ReferenceCache;
  readonly microBatchTokens: number;
  readonly dtype: DType;
  readonly file: string;
  readonly inputs: string;
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

/** Rows whose reference is computed at a time: bounds the memory. */
const chunk = 512;

/** The reference's log-probs of all rows: those that the cache lacks are computed, and all are noted in the file. */
export async function computeReference(computing: Computing): Promise<ReferenceByRow> {
  const { rows, listener } = computing;
  const reference = new Map<number, readonly number[]>();
  for (let start = 0; start < rows.count; start += chunk) {
    const indices = Array.from({ length: Math.min(chunk, rows.count - start) }, (_, at) => start + at);
    const fitting = indices.flatMap((index) => {
      const row = rows.at(index);
      return row === undefined ? [] : [{ index, row }];
    });
    const tell = (done: number) =>
      listener.progress({
        stage: "train",
        label: "reference log-probs",
        done: start + done,
        total: rows.count,
        unit: "rows",
      });
    const found = await withReference(
      computing.model,
      fitting.map(({ row }) => row),
      computing.cache,
      { ...computing, progress: tell },
    );
    if (found === undefined) checkInterrupted(computing);
    for (const [at, row] of found!.entries()) reference.set(fitting[at]!.index, row.reference);
    tell(indices.length);
  }
  const stored = { inputs: computing.inputs, known: rows.known(), logps: [...reference] };
  writeFileSync(`${computing.file}.partial`, JSON.stringify(stored));
  renameSync(`${computing.file}.partial`, computing.file);
  return reference;
}
