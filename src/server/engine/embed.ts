import { setImmediate as nextTurn } from "node:timers/promises";
import { bundleAttention, type Decoder, hiddenStates } from "../../models/index.ts";
import { noGrad, ops, scope, tensor, toArray } from "../../torch/index.ts";

/** Tokens that are computed together, unless one text alone has more. */
const stepTokens = 2048;

/**
 * A vector [hidden] for each text: the mean over its tokens of the final hidden states, brought to length 1 in float32.
 * A decoder was not trained to be an embedding model: this is a plain, well-defined reading of it. Stops between two
 * steps when the signal aborts, by throwing its reason.
 */
export async function embed(
  model: Decoder,
  texts: readonly (readonly number[])[],
  signal: AbortSignal,
): Promise<Float32Array[]> {
  const vectors: Float32Array[] = [];
  for (let next = 0; next < texts.length; ) {
    signal.throwIfAborted();
    let end = next + 1;
    for (let tokens = texts[next]!.length; end < texts.length && tokens + texts[end]!.length <= stepTokens; end++)
      tokens += texts[end]!.length;
    vectors.push(...embedTogether(model, texts.slice(next, end)));
    next = end;
    await nextTurn();
  }
  return vectors;
}

function embedTogether(model: Decoder, texts: readonly (readonly number[])[]): Float32Array[] {
  const { device } = model.parameters.get("model.embed_tokens.weight")!;
  const int64 = (values: readonly number[]) => tensor(values, [values.length], "int64").to(device, "int64");
  let start = 0;
  const spans = texts.map(({ length }) => {
    const span = { start, promptLength: length, responseLengths: [] };
    start += length;
    return span;
  });
  return noGrad(() =>
    scope(() => {
      const positions = texts.flatMap(({ length }) => [...Array(length).keys()]);
      const hidden = hiddenStates(model, int64(texts.flat()), int64(positions), bundleAttention(model.config, spans));
      return spans.map(({ start, promptLength }) => {
        const mean = hidden.narrow(0, start, promptLength).to("float32").mean([0]);
        return toArray(mean.div(ops.linalg_vector_norm(mean))) as Float32Array;
      });
    }),
  );
}
