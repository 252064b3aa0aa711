import type { Tensor } from "../torch/index.ts";
import { noGrad, scope, tensor, toArray, toNumbers } from "../torch/index.ts";

/** How the next token is chosen from the logits. */
export interface SamplerSettings {
  /** 0 takes the most probable token. */
  readonly temperature: number;
  /** Least probability mass that is kept, most probable tokens first. */
  readonly topP: number;
  /** Most tokens that are kept; 0 keeps all. */
  readonly topK: number;
}

/**
 * The most probable tokens looked at first; rows that need more are sorted whole, which takes some twenty times as long
 * as a look at 512. On a small model a look at 64 leaves a quarter of the rows open at top-p 0.95, one at 512 hardly any.
 */
const firstLook = 512;

/**
 * Index that `u` falls on in descending probabilities cut to the topK first and then to the nucleus, or undefined when
 * these are only the head of the distribution and don't decide it. The nucleus is the shortest head whose share in the
 * mass of what topK leaves reaches topP (Holtzman et al. 2020), topK before topP as in transformers and vLLM.
 */
export function pick(
  descending: ArrayLike<number>,
  whole: boolean,
  settings: SamplerSettings,
  u: number,
): number | undefined {
  const limit = settings.topK === 0 ? descending.length : Math.min(settings.topK, descending.length);
  let left = 1;
  if (settings.topK > 0) {
    left = 0;
    for (let k = 0; k < limit; k++) left += descending[k]!;
  }
  const enough = settings.topP * left;
  let mass = 0;
  let kept = 0;
  while (kept < limit && (mass < enough || kept === 0)) mass += descending[kept++]!;
  const complete = whole || settings.topK > 0 || mass >= enough;
  // Where nothing is cut off, the mass of all tokens is 1: a head can decide for every u below its own mass.
  const total = complete ? mass : settings.topP >= 1 && settings.topK === 0 ? 1 : undefined;
  if (total === undefined || (!complete && u >= mass)) return undefined;
  let below = 0;
  for (let k = 0; k < kept; k++) {
    below += descending[k]!;
    if (u * total < below) return k;
  }
  return kept - 1;
}

/**
 * The next token of each row: logits [R, vocabulary], uniform numbers in [0, 1) [R] -> token ids [R].
 * Inverse transform over the tokens in descending order of probability, so that a row's token depends on its own logits
 * and its own number alone.
 */
export function sampleTokens(logits: Tensor, settings: SamplerSettings, uniforms: readonly number[]): number[] {
  return noGrad(() =>
    scope(() => {
      if (settings.temperature === 0) return toNumbers(logits.argmax(-1));
      const probabilities = logits.to("float32").div(settings.temperature).softmax(-1);
      const vocabulary = logits.shape[1]!;
      const width = Math.min(vocabulary, Math.max(firstLook, settings.topK));
      const [heads, ids] = probabilities.topk(width, -1);
      const headValues = toArray(heads) as Float32Array;
      const headIds = toArray(ids) as BigInt64Array;
      const chosen = uniforms.map((u, row) => {
        const at = pick(headValues.subarray(row * width, (row + 1) * width), width === vocabulary, settings, u);
        return at === undefined ? undefined : Number(headIds[row * width + at]!);
      });
      const open = chosen.flatMap((token, row) => (token === undefined ? [row] : []));
      if (open.length === 0) return chosen as number[];
      const [values, order] = probabilities
        .index_select(0, tensor(open, [open.length], "int64").to(logits.device, "int64"))
        .sort(-1, true);
      const allValues = toArray(values) as Float32Array;
      const allIds = toArray(order) as BigInt64Array;
      for (const [k, row] of open.entries()) {
        const at = pick(allValues.subarray(k * vocabulary, (k + 1) * vocabulary), true, settings, uniforms[row]!)!;
        chosen[row] = Number(allIds[k * vocabulary + at]!);
      }
      return chosen as number[];
    }),
  );
}
