import type { LoadedModel } from "../models/index.ts";
import { contentKey } from "../schema/index.ts";
import { batchLogProbs, bundleTokens, microBatches, packBundles } from "../scoring/index.ts";
import { type DType, noGrad, scope, toNumbers } from "../torch/index.ts";
import type { ReferencedRow } from "./preference.ts";
import type { TrainingRow } from "./rows.ts";

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
  readonly signal: AbortSignal;
  readonly progress?: (done: number, total: number) => void;
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/**
 * log pi_ref(y|x) of every response of every row, computed once and kept in the cache. Returns undefined when the signal
 * aborted it; what was computed until then is kept.
 */
export async function withReference(
  model: LoadedModel,
  rows: readonly TrainingRow[],
  cache: ReferenceCache,
  options: ReferenceOptions,
): Promise<ReferencedRow[] | undefined> {
  const template = contentKey(model.tokenizer.files());
  const owner = contentKey({ digest: model.digest, dtype: options.dtype });
  const keysOf = (row: TrainingRow): ReferenceKey[] => {
    const promptTokens = contentKey(row.prompt);
    return row.responses.map((response) => ({
      model: owner,
      template,
      promptTokens,
      response: contentKey(response),
    }));
  };
  const keys = rows.map(keysOf);
  const found = await cache.get(keys.flat());
  const values = new Map<TrainingRow, number[]>();
  let at = 0;
  for (const row of rows) {
    const own = found.slice(at, at + row.responses.length);
    at += row.responses.length;
    if (own.every((entry) => entry !== undefined))
      values.set(
        row,
        own.map((entry) => entry.logp),
      );
  }
  const { device } = model.decoder.parameters.get("model.embed_tokens.weight")!;
  // The batches don't depend on what is known: a batch is computed as a whole, so that a run which was killed between two
  // of them gets the very figures of one that was not.
  for (const batch of microBatches(rows, bundleTokens, options.microBatchTokens)) {
    const missing = batch.filter((row) => !values.has(row));
    if (missing.length === 0) continue;
    if (options.signal.aborted) return undefined;
    const logProbs = noGrad(() =>
      scope(() => toNumbers(batchLogProbs(model.decoder, packBundles(batch, device), { dtype: options.dtype }))),
    );
    const added: (ReferenceKey & { logp: number; tokens: number })[] = [];
    for (const row of batch) {
      const own = logProbs.splice(0, row.responses.length);
      if (!missing.includes(row)) continue;
      values.set(row, own);
      for (const [k, key] of keysOf(row).entries())
        added.push({ ...key, logp: own[k]!, tokens: row.responses[k]!.length });
    }
    await cache.add(added);
    options.progress?.(values.size, rows.length);
    await nextTurn();
  }
  return rows.map((row) => ({ ...row, reference: values.get(row)! }));
}
