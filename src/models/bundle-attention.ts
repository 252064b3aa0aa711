import type { DType, Tensor } from "../torch/index.ts";
import { customFunction, noGrad, ops, scope, tensor } from "../torch/index.ts";
import type { DecoderConfig } from "./config.ts";
import type { Attend } from "./decoder.ts";

/** Where a bundle lies in the flat batch: the prompt x first, then each response y. */
export interface BundleSpan {
  readonly start: number;
  readonly promptLength: number;
  readonly responseLengths: readonly number[];
}

/** Queries [start, start + length) of the batch attending to keys [keyStart, keyStart + keyLength). */
interface Piece {
  readonly start: number;
  readonly length: number;
  readonly keyStart: number;
  readonly keyLength: number;
  /** Queries and keys are the same tokens, and each sees itself and what is before. */
  readonly causal: boolean;
  /** Which of the masks [queries, keys] applies, where a sliding window hides something; it covers the causal order too. */
  readonly mask: number | null;
}

/** What the tokens of one bundle see. */
interface BundlePieces {
  /** x on itself. */
  readonly prompt: Piece;
  /** All of y_1..y_n together on x. */
  readonly prefix: Piece;
  /** Each y on itself. */
  readonly own: readonly Piece[];
}

/** The pieces of a batch under one window, and the masks that they name. */
interface WindowPieces {
  readonly bundles: readonly BundlePieces[];
  readonly masks: readonly Tensor[];
}

/** Low enough that its exponential is 0, and finite, so that a row which sees nothing in one piece stays a number. */
const unseen = -1e30;

/** Additive mask of a window over queries and keys at these positions. */
function windowMask(queries: readonly number[], keys: readonly number[], window: number, dtype: DType): Tensor {
  return noGrad(() =>
    scope(() => {
      const at = (positions: readonly number[]) => tensor(positions, [positions.length], "int64");
      const distance = at(queries).unsqueeze(1).sub(at(keys).unsqueeze(0));
      const hidden = distance.lt(0).logical_or(distance.ge(window));
      return ops.zeros(hidden.shape, { dtype }).masked_fill_(hidden, unseen);
    }),
  );
}

const range = (from: number, length: number): number[] => Array.from({ length }, (_, i) => from + i);

/** The pieces of one bundle under a window; the masks that they need are added to `masks`. */
function piecesOf(
  { start, promptLength, responseLengths }: BundleSpan,
  window: number | null,
  dtype: DType,
  masks: Tensor[],
): BundlePieces {
  const mask = (queries: readonly number[], keys: readonly number[]): number | null => {
    const farthest = queries.reduce((a, b) => Math.max(a, b), 0);
    if (window === null || farthest - keys[0]! < window) return null;
    return masks.push(windowMask(queries, keys, window, dtype)) - 1;
  };
  const self = (from: number, length: number): Piece => {
    const positions = range(0, length);
    const needed = mask(positions, positions);
    return { start: from, length, keyStart: from, keyLength: length, causal: needed === null, mask: needed };
  };
  const first = start + promptLength;
  const positions = responseLengths.flatMap((length) => range(promptLength, length));
  let at = first;
  const own = responseLengths.map((length) => {
    at += length;
    return self(at - length, length);
  });
  const prefix: Piece = {
    start: first,
    length: positions.length,
    keyStart: start,
    keyLength: promptLength,
    causal: false,
    mask: mask(positions, range(0, promptLength)),
  };
  return { prompt: self(start, promptLength), prefix, own };
}

/** Tokens [start, start + length) of x [T, heads, headDim] as [groups, heads / groups, length, headDim], a view. */
const grouped = (x: Tensor, start: number, length: number, groups: number): Tensor =>
  x.narrow(0, start, length).view([length, groups, -1, x.shape[2]!]).permute([1, 2, 0, 3]);

interface Heads {
  /** Key-value heads; each serves `repeats` query heads. */
  readonly groups: number;
  readonly repeats: number;
  readonly scale: number;
}

/** Keys or values of a piece, one head standing for all the query heads of its group, without a copy. */
function shared(x: Tensor, { keyStart, keyLength }: Piece, { groups, repeats }: Heads): Tensor {
  return grouped(x, keyStart, keyLength, groups).expand([groups, repeats, keyLength, x.shape[2]!]);
}

/** Attention of one piece: output [groups, repeats, length, headDim] and log-sum-exp [groups, repeats, length] in float32. */
function attendPiece(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  piece: Piece,
  masks: readonly Tensor[],
  heads: Heads,
): [Tensor, Tensor] {
  const queries = grouped(q, piece.start, piece.length, heads.groups);
  return ops._scaled_dot_product_flash_attention_for_cpu(
    queries,
    shared(k, piece, heads),
    shared(v, piece, heads),
    0,
    piece.causal,
    {
      attn_mask: piece.mask === null ? null : masks[piece.mask]!,
      scale: heads.scale,
    },
  );
}

/**
 * Attention over bundles on the CPU: q [T, heads, headDim], k and v [T, groups, headDim] -> [T, heads * headDim].
 *
 * A response's attention to [x, y] is put together exactly from that to x and that to y by their log-sum-exp; in the
 * backward each piece takes the whole's output and log-sum-exp, which makes its share of the gradient the exact one.
 */
function flashAttention(q: Tensor, k: Tensor, v: Tensor, { bundles, masks }: WindowPieces, heads: Heads): Tensor {
  const tokens = q.shape[0]!;
  return customFunction({
    inputs: [q, k, v],
    forward() {
      const flat = ops.empty([tokens, q.elements / tokens], { dtype: q.dtype });
      const out = flat.view(q.shape);
      const lse = ops.empty([heads.groups, heads.repeats, tokens], {
        dtype: q.dtype === "float64" ? "float64" : "float32",
      });
      const place = (piece: Piece, [o, l]: readonly [Tensor, Tensor]) => {
        grouped(out, piece.start, piece.length, heads.groups).copy_(o);
        lse.narrow(2, piece.start, piece.length).copy_(l);
      };
      for (const { prompt, prefix, own } of bundles) {
        place(prompt, attendPiece(q, k, v, prompt, masks, heads));
        if (prefix.length === 0) continue;
        for (const piece of own) place(piece, attendPiece(q, k, v, piece, masks, heads));
        const ownOut = grouped(out, prefix.start, prefix.length, heads.groups);
        const ownLse = lse.narrow(2, prefix.start, prefix.length);
        const [prefixOut, prefixLse] = attendPiece(q, k, v, prefix, masks, heads);
        // out = own + (prefix - own) * share of the prefix in the softmax's denominator
        const share = prefixLse.sub(ownLse).sigmoid().unsqueeze(-1).to(q.dtype);
        ownOut.add_(prefixOut.sub_(ownOut).mul_(share));
        ownLse.copy_(ops.logaddexp(ownLse, prefixLse));
      }
      return { output: flat, saved: [q, k, v, flat, lse, ...masks] };
    },
    backward([grad], [q_, k_, v_, flat, lse, ...keptMasks]) {
      const gradOut = grad!.reshape(q_!.shape);
      const out = flat!.view(q_!.shape);
      const gradQ = ops.zeros_like(q_!);
      const gradK = ops.zeros_like(k_!);
      const gradV = ops.zeros_like(v_!);
      const add = (piece: Piece) => {
        const { start, length, keyStart, keyLength } = piece;
        const [dq, dk, dv] = ops._scaled_dot_product_flash_attention_for_cpu_backward(
          grouped(gradOut, start, length, heads.groups),
          grouped(q_!, start, length, heads.groups),
          shared(k_!, piece, heads),
          shared(v_!, piece, heads),
          grouped(out, start, length, heads.groups),
          lse!.narrow(2, start, length),
          0,
          piece.causal,
          { attn_mask: piece.mask === null ? null : keptMasks[piece.mask]!, scale: heads.scale },
        );
        grouped(gradQ, start, length, heads.groups).add_(dq);
        grouped(gradK, keyStart, keyLength, heads.groups).add_(dk.sum([1], true));
        grouped(gradV, keyStart, keyLength, heads.groups).add_(dv.sum([1], true));
      };
      for (const { prompt, prefix, own } of bundles) {
        add(prompt);
        if (prefix.length > 0) for (const piece of [prefix, ...own]) add(piece);
      }
      return [gradQ, gradK, gradV];
    },
  });
}

/** The same by libtorch's composite operator, response by response, with [x, y] as keys: on devices without the CPU kernel. */
export function plainAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  spans: readonly BundleSpan[],
  window: number | null,
  scale: number,
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
    const repeat = (x: Tensor) => gather(x).repeat_interleave(q.shape[1]! / groups, 0);
    const queries = q.narrow(0, start, length).transpose(0, 1).unsqueeze(0);
    const out = ops.scaled_dot_product_attention(
      queries,
      repeat(k).unsqueeze(0),
      repeat(v).unsqueeze(0),
      mask,
      0,
      false,
      { scale },
    );
    parts.push(out.squeeze(0).transpose(0, 1).reshape([length, -1]));
  };
  for (const { start, promptLength, responseLengths } of spans) {
    attendTo([[start, promptLength]], start, promptLength, 0);
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

/**
 * The attention that lets every response of a bundle see its prompt and itself, and nothing else. Made before the
 * forward pass, in the scope that the backward still runs in.
 */
export function bundleAttention(config: DecoderConfig, spans: readonly BundleSpan[], dtype: DType): Attend {
  const heads: Heads = {
    groups: config.keyValueHeads,
    repeats: config.heads / config.keyValueHeads,
    scale: config.attentionScale,
  };
  const pieces = new Map<number | null, WindowPieces>();
  for (const { window } of config.layers) {
    if (pieces.has(window)) continue;
    const masks: Tensor[] = [];
    pieces.set(window, { bundles: spans.map((span) => piecesOf(span, window, dtype, masks)), masks });
  }
  return (layer, q, k, v) => {
    const { window } = config.layers[layer]!;
    if (q.device !== "cpu") return plainAttention(q, k, v, spans, window, heads.scale);
    return flashAttention(q, k, v, pieces.get(window)!, heads);
  };
}
