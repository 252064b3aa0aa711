import { checkpointed } from "../nn/index.ts";
import type { Tensor } from "../torch/index.ts";
import { customFunction, hasKernels, native, noGrad, ops, scope } from "../torch/index.ts";
import type { DecoderConfig } from "./config.ts";
import type { Attend } from "./decoder.ts";
import { softcap } from "./softcap.ts";

/** Where a bundle lies in the flat batch: the prompt x first, then each response y. */
export interface BundleSpan {
  readonly start: number;
  readonly promptLength: number;
  readonly responseLengths: readonly number[];
}

/** Three numbers for each segment of the flat batch: first token, length, and the segment that is its prompt, -1 for a prompt. */
function segmentsOf(spans: readonly BundleSpan[]): Int32Array {
  const segments: number[] = [];
  for (const { start, promptLength, responseLengths } of spans) {
    const prompt = segments.length / 3;
    segments.push(start, promptLength, -1);
    let at = start + promptLength;
    for (const length of responseLengths) {
      segments.push(at, length, prompt);
      at += length;
    }
  }
  return Int32Array.from(segments);
}

/** Attention over bundles by the addon's kernel: q [T, heads, headDim], k and v [T, groups, headDim] -> [T, heads * headDim]. */
function kernelAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  segments: Int32Array,
  window: number | null,
  scale: number,
): Tensor {
  const reach = window ?? 0;
  return customFunction({
    inputs: [q, k, v],
    forward() {
      const [out, lse] = native().attendBundles(q, k, v, segments, scale, reach);
      return { output: out, saved: [q, k, v, out, lse] };
    },
    backward: ([grad], [q_, k_, v_, out, lse]) =>
      native().attendBundlesBackward(grad!, out!, lse!, q_!, k_!, v_!, segments, scale, reach),
  });
}

/** softmax of the capped scores times v, written out: no operator of libtorch caps. q, k, v [.., heads, tokens, headDim]. */
function cappedAttention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor, scale: number, cap: number): Tensor {
  const wide = q.dtype === "float64" ? "float64" : "float32";
  const scores = softcap(q.matmul(k.transpose(-1, -2)).to(wide).mul(scale), cap);
  return scores.masked_fill(seen.logical_not(), Number.NEGATIVE_INFINITY).softmax(-1).to(q.dtype).matmul(v);
}

/** The most scores of a head that are held at once: those of about a thousand tokens. */
const mostScores = 2 ** 20;

/**
 * The same by libtorch's operators, response by response, with [x, y] as keys: on other devices than the processor, and
 * for soft-capped scores, which the kernel doesn't know. Exact, but slower. Where scores are capped, the queries of long texts
 * come in blocks, whose scores are computed again in the backward: the memory grows with the tokens, not with their square.
 */
export function plainAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  spans: readonly BundleSpan[],
  window: number | null,
  scale: number,
  cap: number | null = null,
): Tensor {
  // Read here: when a block is computed again, q is gone.
  const { device } = q;
  const shared = q.shape[1]! / k.shape[1]!;
  const parts: Tensor[] = [];
  /** Which keys, counted from `first`, the queries at `at` and on see, [queries, keys]. */
  const seenFrom = (at: number, queries: number, first: number, keys: number) =>
    noGrad(() => {
      const int64 = { dtype: "int64", device } as const;
      const distance = ops
        .arange(at, at + queries, int64)
        .unsqueeze(1)
        .sub(ops.arange(first, first + keys, int64).unsqueeze(0));
      const seen = distance.ge(0);
      return window === null ? seen : seen.logical_and(distance.lt(window));
    });
  const repeat = (x: Tensor) => x.repeat_interleave(shared, 0).unsqueeze(0);
  /** queries [heads, n, headDim] at `at` and on, keys and values [groups, m, headDim] from `first` on -> [n, heads * headDim] */
  const block = (queries: Tensor, keys: Tensor, values: Tensor, at: number, first: number) => {
    const mask = seenFrom(at, queries.shape[1]!, first, keys.shape[1]!);
    const [all, k_, v_] = [queries.unsqueeze(0), repeat(keys), repeat(values)];
    const out =
      cap === null
        ? ops.scaled_dot_product_attention(all, k_, v_, mask, 0, false, { scale })
        : cappedAttention(all, k_, v_, mask, scale, cap);
    return out.squeeze(0).transpose(0, 1).flatten(1);
  };
  const attendTo = (pieces: readonly [number, number][], start: number, length: number, ahead: number) => {
    const gather = (x: Tensor) => ops.cat(pieces.map(([from, count]) => x.narrow(0, from, count))).transpose(0, 1);
    const [keys, values] = [gather(k), gather(v)];
    const queries = q.narrow(0, start, length).transpose(0, 1);
    const rows = Math.max(64, Math.floor(mostScores / (ahead + length)));
    // libtorch's own operator holds no scores.
    if (cap === null || length <= rows) {
      parts.push(block(queries, keys, values, ahead, 0));
      return;
    }
    for (let from = 0; from < length; from += rows) {
      const count = Math.min(rows, length - from);
      const at = ahead + from;
      const first = window === null ? 0 : Math.max(0, at - window + 1);
      const some = [keys, values].map((x) => x.narrow(1, first, at + count - first));
      const body = (...given: Tensor[]) => scope(() => block(given[0]!, given[1]!, given[2]!, at, first));
      parts.push(checkpointed(body, [queries.narrow(1, from, count), ...some], []));
    }
  };
  for (const { start, promptLength, responseLengths } of spans) {
    // A judge's prompts may have nothing in common.
    if (promptLength > 0) attendTo([[start, promptLength]], start, promptLength, 0);
    let at = start + promptLength;
    for (const length of responseLengths) {
      attendTo(
        [
          [start, promptLength],
          [at, length],
        ],
        at,
        length,
        promptLength,
      );
      at += length;
    }
  }
  return ops.cat(parts);
}

/** The attention that lets every response of a bundle see its prompt and itself, and nothing else. */
export function bundleAttention(config: DecoderConfig, spans: readonly BundleSpan[]): Attend {
  const segments = segmentsOf(spans);
  const { attentionScale: scale, attentionSoftcap: cap } = config;
  return (layer, q, k, v) => {
    const { window } = config.layers[layer]!;
    return hasKernels(q) && cap === null
      ? kernelAttention(q, k, v, segments, window, scale)
      : plainAttention(q, k, v, spans, window, scale, cap);
  };
}
