import type { Tensor } from "../torch/index.ts";
import { tensor, toArray } from "../torch/index.ts";
import type { SamplerSettings } from "./sampler.ts";

/** What a row's choice depends on beside its logits. */
export interface History {
  readonly settings: SamplerSettings;
  readonly prompt: readonly number[];
  /** The response so far. */
  readonly ids: readonly number[];
  /** Tokens that may not come now; a tokenizer's end tokens may lie beyond the model's own. */
  readonly banned?: Iterable<number>;
  /** Bits of the tokens that may come; all of them where there is none. */
  readonly allowed?: Uint32Array;
}

/**
 * The logits [R, vocabulary] with each row's biases, penalties and exclusions; the rows given stay as they are. In this order: logit
 * bias, repetition penalty (Keskar et al. 2019, over prompt and response), frequency and presence penalties (OpenAI's definition,
 * over the response), then what may not come gets minus infinity.
 */
export function adjustLogits(logits: Tensor, rows: readonly History[]): Tensor {
  const vocabulary = logits.shape[1]!;
  const changed = rows.map(changedTokens);
  const banned = rows.map((row) => [...(row.banned ?? [])].filter((token) => token < vocabulary));
  const masked = rows.some(({ allowed }) => allowed !== undefined);
  if (!masked && changed.every(({ size }) => size === 0) && banned.every(({ length }) => length === 0)) return logits;
  const { device } = logits;
  const adjusted = logits.to("float32").clone();
  const places = changed.flatMap((tokens, row) => [...tokens.keys()].map((token) => row * vocabulary + token));
  const flat = adjusted.view([-1]);
  if (places.length > 0) {
    const at = tensor(places, [places.length], "int64").to(device, "int64");
    const values = toArray(flat.index_select(0, at)) as Float32Array;
    let k = 0;
    for (const tokens of changed) for (const change of tokens.values()) values[k] = change(values[k++]!);
    flat.index_copy_(0, at, tensor(values).to(device, "float32"));
  }
  const out = banned.flatMap((tokens, row) => tokens.map((token) => row * vocabulary + token));
  if (out.length > 0)
    flat.index_fill_(0, tensor(out, [out.length], "int64").to(device, "int64"), Number.NEGATIVE_INFINITY);
  if (masked) adjusted.masked_fill_(leftOut(rows, vocabulary).to(device, "bool"), Number.NEGATIVE_INFINITY);
  return adjusted;
}

/** What becomes of the logits of a row's tokens, for those that change. */
function changedTokens({ settings, prompt, ids }: History): Map<number, (logit: number) => number> {
  const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, logitBias } = settings;
  const counts = new Map<number, number>();
  if (repetitionPenalty !== 1) for (const token of prompt) counts.set(token, 0);
  if (repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0)
    for (const token of ids) counts.set(token, (counts.get(token) ?? 0) + 1);
  const changes = new Map<number, (logit: number) => number>();
  for (const token of new Set([...counts.keys(), ...(logitBias?.keys() ?? [])])) {
    const count = counts.get(token);
    const bias = logitBias?.get(token) ?? 0;
    changes.set(token, (logit) => {
      const biased = logit + bias;
      if (count === undefined) return biased;
      const repeated = biased > 0 ? biased / repetitionPenalty : biased * repetitionPenalty;
      return repeated - frequencyPenalty * count - (count > 0 ? presencePenalty : 0);
    });
  }
  return changes;
}

/** 1 for each token that a row's mask leaves out. */
function leftOut(rows: readonly History[], vocabulary: number): Tensor {
  const bits = new Uint8Array(rows.length * vocabulary);
  for (const [row, { allowed }] of rows.entries()) {
    if (allowed === undefined) continue;
    for (let token = 0; token < vocabulary; token++)
      bits[row * vocabulary + token] = ((allowed[token >>> 5]! >>> (token & 31)) & 1) ^ 1;
  }
  return tensor(bits, [rows.length, vocabulary]);
}
