import type { Tensor } from "../torch/index.ts";
import { customFunction, hasKernels, native, noGrad, ops } from "../torch/index.ts";
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

/**
 * The same by libtorch's operators, response by response, with [x, y] as keys: on other devices than the processor, and
 * for soft-capped scores, which the kernel doesn't know. Exact, but slower, and it holds a response's scores as a whole.
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
  const groups = k.shape[1]!;
  const parts: Tensor[] = [];
  const attendTo = (keys: readonly [number, number][], start: number, length: number, ahead: number) => {
    const gather = (x: Tensor) => ops.cat(keys.map(([from, count]) => x.narrow(0, from, count))).transpose(0, 1);
    const mask = noGrad(() => {
      const int64 = { dtype: "int64", device: q.device } as const;
      const distance = ops
        .arange(ahead, ahead + length, int64)
        .unsqueeze(1)
        .sub(ops.arange(ahead + length, int64).unsqueeze(0));
      const seen = distance.ge(0);
      return window === null ? seen : seen.logical_and(distance.lt(window));
    });
    const repeat = (x: Tensor) =>
      gather(x)
        .repeat_interleave(q.shape[1]! / groups, 0)
        .unsqueeze(0);
    const queries = q.narrow(0, start, length).transpose(0, 1).unsqueeze(0);
    const out =
      cap === null
        ? ops.scaled_dot_product_attention(queries, repeat(k), repeat(v), mask, 0, false, { scale })
        : cappedAttention(queries, repeat(k), repeat(v), mask, scale, cap);
    parts.push(out.squeeze(0).transpose(0, 1).flatten(1));
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
