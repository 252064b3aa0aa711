import type { Decoder } from "../../models/index.ts";
import { bundleAttention, hiddenStates, nextLogits } from "../../models/index.ts";
import { type Bundle, bundleTokens, microBatches, packBundles } from "../../scoring/index.ts";
import { noGrad, ops, scope, tensor, toNumbers } from "../../torch/index.ts";
import type { RatingTokens } from "./rating-tokens.ts";

/** A judge's prompt in tokens. Those of one group mostly start alike; `index` is its place among all. */
export interface JudgePrompt {
  readonly index: number;
  readonly group: string;
  readonly ids: readonly number[];
}

/** Judge's prompts with the beginning that they share. */
interface SharedPrompts {
  readonly shared: readonly number[];
  readonly endings: readonly { readonly index: number; readonly ids: readonly number[] }[];
}

/** Rows of logits over the vocabulary that exist at a time. */
const rowsAtATime = 64;

/**
 * Lays the prompts of each group into bundles, the beginning that they share once and then each one's ending, in
 * bundles of at most `budget` tokens where one prompt alone does not have more; then bundles into micro-batches.
 */
export function batchPrompts(
  prompts: readonly JudgePrompt[],
  { chains }: Pick<RatingTokens, "chains">,
  budget: number,
): SharedPrompts[][] {
  const groups = new Map<string, JudgePrompt[]>();
  for (const prompt of prompts) {
    const members = groups.get(prompt.group);
    if (members === undefined) groups.set(prompt.group, [prompt]);
    else members.push(prompt);
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

/** How many tokens all start with; at least one is left to each, whose hidden state predicts the answer. */
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

const asBundle = ({ shared, endings }: SharedPrompts, chains: RatingTokens["chains"]): Bundle => ({
  prompt: shared,
  responses: endings.flatMap(({ ids }) => chains.map((chain) => [...ids, ...chain])),
});

/**
 * The log-probs of the rating tokens' edges after each prompt of a micro-batch, by the prompt's index. Only the rows
 * that predict a rating token ever meet the vocabulary.
 */
export function readEdges(
  model: Decoder,
  batch: readonly SharedPrompts[],
  { chains, edges }: Pick<RatingTokens, "chains" | "edges">,
  device: string,
): Map<number, number[]> {
  const tokens = [...new Set(edges.map(({ token }) => token))];
  const reads: { index: number; firstRow: number }[] = [];
  const rows: number[] = [];
  let at = 0;
  for (const { shared, endings } of batch) {
    at += shared.length;
    for (const { index, ids } of endings) {
      reads.push({ index, firstRow: rows.length });
      for (const chain of chains) {
        for (let depth = 0; depth <= chain.length; depth++) rows.push(at + ids.length - 1 + depth);
        at += ids.length + chain.length;
      }
    }
  }
  const int64 = (values: readonly number[]) => tensor(values, [values.length], "int64").to(device, "int64");
  const table = noGrad(() =>
    scope(() => {
      const packed = packBundles(
        batch.map((bundle) => asBundle(bundle, chains)),
        device,
      );
      const attend = bundleAttention(model.config, packed.spans);
      const hidden = hiddenStates(model, packed.ids, packed.positions, attend).index_select(0, int64(rows));
      const columns = int64(tokens);
      const parts = Array.from({ length: Math.ceil(rows.length / rowsAtATime) }, (_, i) =>
        scope(() => {
          const from = i * rowsAtATime;
          const some = hidden.narrow(0, from, Math.min(rowsAtATime, rows.length - from));
          return nextLogits(model, some).log_softmax(-1, "float32").index_select(1, columns);
        }),
      );
      return toNumbers(ops.cat(parts));
    }),
  );
  const rowOfChain = chains.map((_, at) => chains.slice(0, at).reduce((sum, chain) => sum + chain.length + 1, 0));
  return new Map(
    reads.map(({ index, firstRow }) => [
      index,
      edges.map(
        ({ chain, depth, token }) =>
          table[(firstRow + rowOfChain[chain]! + depth) * tokens.length + tokens.indexOf(token)]!,
      ),
    ]),
  );
}
