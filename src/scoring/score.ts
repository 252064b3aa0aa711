import type { Decoder, ForwardOptions } from "../models/index.ts";
import { bundleAttention, hiddenStates, outputMatrix } from "../models/index.ts";
import type { Tensor } from "../torch/index.ts";
import { ops } from "../torch/index.ts";
import type { PackedBatch } from "./bundle.ts";
import { tokenLogProbs } from "./token-log-probs.ts";

/** log pi(y_t | x, y_<t) of every response token of the batch, float32 [S], differentiable by the model's weights. */
export function batchTokenLogProbs(model: Decoder, batch: PackedBatch, options: ForwardOptions = {}): Tensor {
  const attend = bundleAttention(model.config, batch.spans);
  const hidden = hiddenStates(model, batch.ids, batch.positions, attend, options);
  const predicting = hidden.index_select(0, batch.predictors);
  const cap = model.config.logitSoftcap;
  return tokenLogProbs(predicting, outputMatrix(model, options), batch.targets, { cap });
}

/** log pi(y | x) of every response: its token log-probs summed, float32 [responses]. Paper section 3.2. */
export function batchLogProbs(model: Decoder, batch: PackedBatch, options: ForwardOptions = {}): Tensor {
  const perToken = batchTokenLogProbs(model, batch, options);
  return ops
    .zeros([batch.responses], { dtype: perToken.dtype, device: perToken.device })
    .index_add(0, batch.owners, perToken);
}
