import type { Tensor } from "../torch/index.ts";
import { noGrad, ops, scope, tensor, toArray, toNumbers } from "../torch/index.ts";
import { adjustLogits, type History } from "./adjust-logits.ts";

/** How the next token is chosen from the logits. */
export interface SamplerSettings {
  /** 0 takes the most probable token, and so does what is too small to divide by. */
  readonly temperature: number;
  /** Least probability mass that is kept, most probable tokens first. */
  readonly topP: number;
  /** Most tokens that are kept; 0 keeps all. */
  readonly topK: number;
  /** Tokens less probable than this share of the most probable one are left out; 0 leaves out none. */
  readonly minP?: number;
  /** Logits of tokens of the prompt and of the response are divided by this where positive, multiplied where not; 1 changes nothing. */
  readonly repetitionPenalty?: number;
  /** Taken from the logits of tokens of the response. */
  readonly presencePenalty?: number;
  /** Taken from them as often as the token is there. */
  readonly frequencyPenalty?: number;
  /** Added to the logits of tokens. */
  readonly logitBias?: ReadonlyMap<number, number>;
}

/** One row's choice. */
export interface Draw extends History {
  readonly settings: SamplerSettings;
  /** Uniform in [0, 1). */
  readonly uniform: number;
}

/**
 * The most probable tokens looked at first; rows that need more are sorted whole, which takes some twenty times as long
 * as a look at 512. On a small model a look at 64 leaves a quarter of the rows open at top-p 0.95, one at 512 hardly any.
 */
const firstLook = 512;

/** Logits divided by less than this may overflow float32. */
const leastTemperature = 1e-30;

/**
 * Index that `u` falls on in descending probabilities cut to the topK first, then to the nucleus, then to minP; or undefined when
 * these are only the head of the distribution and don't decide it. The nucleus is the shortest head whose share in the
 * mass of what topK leaves reaches topP (Holtzman et al. 2020), topK before topP as in transformers and vLLM, minP (Nguyen et al.
 * 2024) last as in transformers.
 */
export function pick(
  descending: ArrayLike<number>,
  whole: boolean,
  { topK, topP, minP = 0 }: SamplerSettings,
  u: number,
): number | undefined {
  const limit = topK === 0 ? descending.length : Math.min(topK, descending.length);
  let left = 1;
  if (topK > 0) {
    left = 0;
    for (let k = 0; k < limit; k++) left += descending[k]!;
  }
  const enough = topP * left;
  const least = minP * descending[0]!;
  let mass = 0;
  let kept = 0;
  while (kept < limit && (kept === 0 || (mass < enough && descending[kept]! >= least))) mass += descending[kept++]!;
  const complete = whole || topK > 0 || mass >= enough || descending[kept]! < least;
  // Where nothing is cut off, the mass of all tokens is 1: a head can decide for every u below its own mass.
  const total = complete ? mass : topP >= 1 && topK === 0 && minP === 0 ? 1 : undefined;
  if (total === undefined || (!complete && u >= mass)) return undefined;
  let below = 0;
  for (let k = 0; k < kept; k++) {
    below += descending[k]!;
    if (u * total < below) return k;
  }
  return kept - 1;
}

/**
 * The next token of each row: logits [R, vocabulary], a draw for each row -> token ids [R]. Biases and penalties first, then the
 * temperature, then what is left out. Inverse transform over the tokens in descending order of probability, so that a row's token
 * depends on its own logits and its own draw alone.
 */
export function sampleTokens(logits: Tensor, draws: readonly Draw[]): number[] {
  return noGrad(() =>
    scope(() => {
      const adjusted = adjustLogits(logits, draws);
      const rowsWhere = (greedy: boolean) =>
        draws.flatMap(({ settings }, row) => (settings.temperature < leastTemperature === greedy ? [row] : []));
      const [greedy, random] = [rowsWhere(true), rowsWhere(false)];
      const tokens = new Array<number>(draws.length);
      const place = (rows: readonly number[], chosen: readonly number[]) => {
        for (const [k, row] of rows.entries()) tokens[row] = chosen[k]!;
      };
      if (greedy.length > 0) place(greedy, toNumbers(rowsOf(adjusted, greedy).argmax(-1)));
      if (random.length > 0)
        place(
          random,
          drawTokens(
            rowsOf(adjusted, random),
            random.map((row) => draws[row]!),
          ),
        );
      return tokens;
    }),
  );
}

const rowsOf = (x: Tensor, rows: readonly number[]): Tensor =>
  rows.length === x.shape[0] ? x : x.index_select(0, tensor(rows, [rows.length], "int64").to(x.device, "int64"));

/** Random choices; no temperature is below the least. */
function drawTokens(logits: Tensor, draws: readonly Draw[]): number[] {
  const temperatures = tensor(
    Float32Array.from(draws, ({ settings }) => settings.temperature),
    [draws.length, 1],
  );
  const probabilities = ops.softmax(logits.to("float32").div(temperatures.to(logits.device, "float32")), -1);
  const vocabulary = logits.shape[1]!;
  const width = Math.min(vocabulary, Math.max(firstLook, ...draws.map(({ settings }) => settings.topK)));
  const [heads, ids] = probabilities.topk(width, -1);
  const headValues = toArray(heads) as Float32Array;
  const headIds = toArray(ids) as BigInt64Array;
  const chosen = draws.map(({ settings, uniform }, row) => {
    const at = pick(headValues.subarray(row * width, (row + 1) * width), width === vocabulary, settings, uniform);
    return at === undefined ? undefined : Number(headIds[row * width + at]!);
  });
  const open = chosen.flatMap((token, row) => (token === undefined ? [row] : []));
  if (open.length === 0) return chosen as number[];
  const [values, order] = rowsOf(probabilities, open).sort(-1, true);
  const allValues = toArray(values) as Float32Array;
  const allIds = toArray(order) as BigInt64Array;
  for (const [k, row] of open.entries()) {
    const { settings, uniform } = draws[row]!;
    const at = pick(allValues.subarray(k * vocabulary, (k + 1) * vocabulary), true, settings, uniform)!;
    chosen[row] = Number(allIds[k * vocabulary + at]!);
  }
  return chosen as number[];
}
