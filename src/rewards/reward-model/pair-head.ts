import { type Deberta, debertaStates, headLayers } from "../../models/index.ts";
import { ops, type Tensor, tensor } from "../../torch/index.ts";

/** A comparison in tokens, and where the marks of its source, its first and its second candidate stand. */
export interface MarkedPair {
  readonly ids: readonly number[];
  readonly marks: readonly [source: number, first: number, second: number];
}

/**
 * Logits in float32, [pairs], that the first candidate is better than the second: the head's numbers for the states of source and first
 * candidate, less those of source and second, mean over its tasks. Pairs are computed each by itself: the figures don't depend on what stands beside them.
 */
export function pairLogits(model: Deberta, pairs: readonly MarkedPair[], device: string): Tensor {
  const int64 = (values: readonly number[]) => tensor(values, [values.length], "int64").to(device, "int64");
  const lengths = pairs.map(({ ids }) => ids.length);
  const states = debertaStates(model, int64(pairs.flatMap(({ ids }) => ids)), lengths);
  let start = 0;
  const starts = lengths.map((length) => {
    start += length;
    return start - length;
  });
  const read = (mark: 0 | 1 | 2) =>
    states.index_select(0, int64(pairs.map(({ marks }, k) => starts[k]! + marks[mark]))).to("float32");
  const weight = (name: string) => model.parameters.get(name)!.to("float32");
  const layer = (x: Tensor, name: string) => x.mm(weight(`${name}.weight`).t()).add(weight(`${name}.bias`));
  const source = read(0);
  const [first, second] = ([1, 2] as const).map((mark) => {
    const hidden = layer(ops.cat([source, read(mark)], -1), headLayers[0]).tanh();
    return layer(hidden, headLayers[1]);
  });
  return first!.sub(second!).mean([-1]);
}
