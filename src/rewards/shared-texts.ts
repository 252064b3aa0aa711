import { bundleAttention, type Decoder, hiddenStates } from "../models/index.ts";
import { type Bundle, bundleTokens, microBatches, packBundles } from "../scoring/index.ts";
import { type Tensor, tensor } from "../torch/index.ts";

/** A text in tokens that a reward reads. Those of one group mostly start alike; `index` is its place among all. */
export interface ReadText {
  readonly index: number;
  readonly group: string;
  readonly ids: readonly number[];
}

/** Texts with the beginning that they share. */
export interface SharedTexts {
  readonly shared: readonly number[];
  readonly endings: readonly { readonly index: number; readonly ids: readonly number[] }[];
}

/** What follows every text, in each of several ways: tokens after which something is read, too. */
export type Chains = readonly (readonly number[])[];
/** Nothing follows: only the texts are read. */
export const noChains: Chains = [[]];

/**
 * Lays the texts of each group into bundles, the beginning that they share once and then each one's ending, in
 * bundles of at most `budget` tokens where one text alone does not have more; then bundles into micro-batches.
 */
export function batchTexts(texts: readonly ReadText[], chains: Chains, budget: number): SharedTexts[][] {
  const groups = new Map<string, ReadText[]>();
  for (const text of texts) {
    const members = groups.get(text.group);
    if (members === undefined) groups.set(text.group, [text]);
    else members.push(text);
  }
  const bundles = [...groups.values()].flatMap((members) => {
    const length = sharedLength(members.map(({ ids }) => ids));
    const endings = members.map(({ index, ids }) => ({ index, ids: ids.slice(length) }));
    const cost = ({ ids }: { ids: readonly number[] }) =>
      chains.reduce((sum, chain) => sum + chain.length, chains.length * ids.length);
    return microBatches(endings, cost, budget - length).map((part) => ({
      shared: members[0]!.ids.slice(0, length),
      endings: part,
    }));
  });
  return microBatches(bundles, (bundle) => bundleTokens(asBundle(bundle, chains)), budget);
}

/** How many tokens all start with; at least one is left to each, whose hidden state is read. */
function sharedLength(sequences: readonly (readonly number[])[]): number {
  const [first, ...others] = sequences;
  let length = Math.min(...sequences.map((ids) => ids.length)) - 1;
  for (const other of others) {
    let same = 0;
    while (same < length && other[same] === first![same]) same += 1;
    length = same;
  }
  return length;
}

const asBundle = ({ shared, endings }: SharedTexts, chains: Chains): Bundle => ({
  prompt: shared,
  responses: endings.flatMap(({ ids }) => chains.map((chain) => [...ids, ...chain])),
});

/** Final hidden states [rows, hidden] of a micro-batch at some rows of its packed layout. */
export function statesAt(
  model: Decoder,
  batch: readonly SharedTexts[],
  chains: Chains,
  rows: readonly number[],
  device: string,
): Tensor {
  const packed = packBundles(
    batch.map((bundle) => asBundle(bundle, chains)),
    device,
  );
  const attend = bundleAttention(model.config, packed.spans);
  const at = tensor(rows, [rows.length], "int64").to(device, "int64");
  return hiddenStates(model, packed.ids, packed.positions, attend, { rows: at });
}
