import { setImmediate as nextTurn } from "node:timers/promises";
import type { LoadedModel } from "../models/index.ts";
import { contentKey } from "../schema/index.ts";
import { batchFigures, bundleTokens, microBatches, packBundles } from "../scoring/index.ts";
import { type DType, noGrad, scope, toNumbers } from "../torch/index.ts";
import { deviceOf, type ReferencedRow } from "./response-table.ts";
import { headLengths, type TrainingRow } from "./rows.ts";

/** Whose log-probability it is: another model, template, prompt or response has another key. */
export interface ReferenceKey {
  readonly model: string;
  readonly template: string;
  readonly promptTokens: string;
  readonly response: string;
}

/** Where reference log-probs are kept for good; the run ledger is one. */
export interface ReferenceCache {
  get(keys: readonly ReferenceKey[]): Promise<({ readonly logp: number } | undefined)[]>;
  add(rows: readonly (ReferenceKey & { readonly logp: number; readonly tokens: number })[]): Promise<void>;
}

export interface ReferenceOptions {
  readonly microBatchTokens: number;
  /** Compute type: that of the training. */
  readonly dtype: DType;
  /** Whether the log-probs of the responses' heads are wanted, too. */
  readonly heads?: boolean;
  readonly signal: AbortSignal;
  readonly progress?: (done: number, total: number) => void;
}

/** Under which name the log-probs of a model are kept, computed in a type. */
export const referenceOwner = (digest: string, dtype: DType): string => contentKey({ digest, dtype });

/**
 * log pi_ref(y|x) of every response of every row (and of its head, kept as that of the shorter response which it is), computed
 * once and kept in the cache. Returns undefined when the signal
 * aborted it; what was computed until then is kept.
 */
export async function withReference(
  model: LoadedModel,
  rows: readonly TrainingRow[],
  cache: ReferenceCache,
  options: ReferenceOptions,
): Promise<ReferencedRow[] | undefined> {
  const template = contentKey(model.tokenizer.files());
  const owner = referenceOwner(model.digest, options.dtype);
  const keyed = rows.map((row) => {
    const promptTokens = contentKey(row.prompt);
    const heads = options.heads ? row.responses.map((response, k) => response.slice(0, headLengths(row)[k])) : [];
    const texts = [...row.responses, ...heads];
    const keys = texts.map(
      (response): ReferenceKey => ({ model: owner, template, promptTokens, response: contentKey(response) }),
    );
    return { row, texts, keys, ids: keys.map((key) => `${key.promptTokens} ${key.response}`) };
  });
  const known = new Map<string, number>();
  const ids = keyed.flatMap((entry) => entry.ids);
  for (const [k, entry] of (await cache.get(keyed.flatMap(({ keys }) => keys))).entries())
    if (entry !== undefined) known.set(ids[k]!, entry.logp);
  let done = 0;
  // The batches don't depend on what is known, and each is computed as a whole: a run that was killed between two of them
  // gets the very figures of one that was not.
  for (const batch of microBatches(keyed, ({ row }) => bundleTokens(row), options.microBatchTokens)) {
    done += batch.length;
    if (batch.every((entry) => entry.ids.every((id) => known.has(id)))) continue;
    if (options.signal.aborted) return undefined;
    const device = deviceOf(model.decoder);
    const bundles = batch.map(({ row }) => row);
    const figures = noGrad(() =>
      scope(() => {
        const { logProbs, heads } = batchFigures(model.decoder, packBundles(bundles, device), {
          dtype: options.dtype,
          heads: options.heads ? bundles.flatMap(headLengths) : undefined,
        });
        return { logProbs: toNumbers(logProbs), heads: heads === undefined ? [] : toNumbers(heads) };
      }),
    );
    const added: (ReferenceKey & { logp: number; tokens: number })[] = [];
    for (const entry of batch) {
      const count = entry.row.responses.length;
      const found = [...figures.logProbs.splice(0, count), ...figures.heads.splice(0, count)];
      for (const [k, id] of entry.ids.entries()) {
        // Equal texts of a row have one figure, the one that the cache keeps.
        if (known.has(id)) continue;
        known.set(id, found[k]!);
        added.push({ ...entry.keys[k]!, logp: found[k]!, tokens: entry.texts[k]!.length });
      }
    }
    await cache.add(added);
    options.progress?.(done, rows.length);
    await nextTurn();
  }
  return keyed.map(({ row, ids }) => {
    const values = ids.map((id) => known.get(id)!);
    const reference = values.slice(0, row.responses.length);
    return { ...row, reference, ...(options.heads ? { headReference: values.slice(row.responses.length) } : {}) };
  });
}
