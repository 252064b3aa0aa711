import type { Decoder, ForwardOptions } from "../models/index.ts";
import { bundleAttention, hiddenStates, outputMatrix } from "../models/index.ts";
import type { Tensor } from "../torch/index.ts";
import { ops, tensor } from "../torch/index.ts";
import type { PackedBatch } from "./bundle.ts";
import { tokenAlignments, tokenLogProbs } from "./token-log-probs.ts";

/** log pi(y_t | x, y_<t) of every response token of the batch, float32 [S], differentiable by the model's weights. */
export function batchTokenLogProbs(model: Decoder, batch: PackedBatch, options: ForwardOptions = {}): Tensor {
  return tokenLogProbs(...predictions(model, batch, options));
}

/** log pi(y | x) of every response: its token log-probs summed, float32 [responses]. Paper section 3.2. */
export function batchLogProbs(model: Decoder, batch: PackedBatch, options: ForwardOptions = {}): Tensor {
  return summed(batch, batchTokenLogProbs(model, batch, options));
}

export interface FigureOptions extends ForwardOptions {
  /** Tokens of each response's head; without them no log-probs of heads are computed. */
  readonly heads?: readonly number[] | undefined;
  readonly alignments?: boolean | undefined;
}

/** Figures of every response of a batch, float32 [responses]. */
export interface ResponseFigures {
  /** log pi(y | x). */
  readonly logProbs: Tensor;
  /** The same of the first tokens of y only. */
  readonly heads?: Tensor;
  /** Mean over the tokens of log pi(y_t | x, y_<t) - log sum_v pi(v | x, y_<t)^2, without a gradient. */
  readonly alignments?: Tensor;
}

/** What a forward pass tells of the responses of a batch; log-probs are differentiable by the model's weights. */
export function batchFigures(model: Decoder, batch: PackedBatch, options: FigureOptions = {}): ResponseFigures {
  const { heads, alignments = false, ...forward } = options;
  const given = predictions(model, batch, forward);
  const { logProbs, collisions } = alignments
    ? tokenAlignments(...given)
    : { logProbs: tokenLogProbs(...given), collisions: undefined };
  const lengths = batch.spans.flatMap(({ responseLengths }) => responseLengths);
  const column = (values: readonly number[]) =>
    tensor(values, [values.length], "float64").to(logProbs.device, logProbs.dtype);
  const inHead = (counts: readonly number[]) =>
    column(lengths.flatMap((length, r) => Array.from({ length }, (_, t) => Number(t < counts[r]!))));
  return {
    logProbs: summed(batch, logProbs),
    ...(heads === undefined ? {} : { heads: summed(batch, logProbs.mul(inHead(heads))) }),
    ...(collisions === undefined
      ? {}
      : { alignments: summed(batch, logProbs.detach().sub(collisions)).div(column(lengths)) }),
  };
}

/** What predicts the response tokens: hidden states, the output matrix, the tokens, and the cap of the logits. */
function predictions(
  model: Decoder,
  batch: PackedBatch,
  options: ForwardOptions,
): [hidden: Tensor, matrix: Tensor, targets: Tensor, options: { cap: number | null }] {
  const attend = bundleAttention(model.config, batch.spans);
  const hidden = hiddenStates(model, batch.ids, batch.positions, attend, options);
  const predicting = hidden.index_select(0, batch.predictors);
  return [predicting, outputMatrix(model, options), batch.targets, { cap: model.config.logitSoftcap }];
}

/** Sums over each response's tokens, [S] -> [responses]. */
const summed = (batch: PackedBatch, perToken: Tensor): Tensor =>
  ops.zeros([batch.responses], { dtype: perToken.dtype, device: perToken.device }).index_add(0, batch.owners, perToken);
