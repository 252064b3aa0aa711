import type { Decoder } from "../../models/index.ts";
import { nextLogits } from "../../models/index.ts";
import { noGrad, ops, scope, tensor, toNumbers } from "../../torch/index.ts";
import { type SharedTexts, statesAt } from "../shared-texts.ts";
import type { AnswerTokens } from "./rating-tokens.ts";

/** Rows of logits over the vocabulary that exist at a time. */
const rowsAtATime = 64;

/**
 * The log-probs of the rating tokens' edges after each prompt of a micro-batch, by the prompt's index. Only the rows
 * that predict a rating token ever meet the vocabulary.
 */
export function readEdges(
  model: Decoder,
  batch: readonly SharedTexts[],
  { chains, edges }: Pick<AnswerTokens, "chains" | "edges">,
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
      const hidden = statesAt(model, batch, chains, rows, device);
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
