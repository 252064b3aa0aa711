import { type Attend, type DecoderConfig, softcap } from "../models/index.ts";
import { ops, tensor } from "../torch/index.ts";
import type { PageStore } from "./page-store.ts";
import type { Run } from "./paged-attention.ts";
import { pageTokens } from "./pages.ts";

/** The same by operators of libtorch, on any device: pages are gathered into one piece for each run. */
export function gatheredAttention(config: DecoderConfig, store: PageStore, runs: readonly Run[]): Attend {
  const { keyValueHeads: groups, headDim, attentionScale: scale, attentionSoftcap: cap } = config;
  const repeats = config.heads / groups;
  const device = store[0]!.keys.device;
  const int64 = (values: readonly number[]) => tensor(values, [values.length], "int64").to(device, "int64");
  const positions = runs.flatMap(({ position, count }) => Array.from({ length: count }, (_, k) => position + k));
  const pageOfToken = int64(
    runs.flatMap(({ pages, position, count }) =>
      Array.from({ length: count }, (_, k) => pages[Math.floor((position + k) / pageTokens)]!),
    ),
  );
  const placeInPage = int64(positions.map((position) => position % pageTokens));

  // Runs of equally many tokens are computed together.
  const starts: number[] = [];
  for (const [k] of runs.entries()) starts.push(k === 0 ? 0 : starts[k - 1]! + runs[k - 1]!.count);
  const alike = new Map<number, number[]>();
  for (const [k, { count }] of runs.entries()) alike.set(count, [...(alike.get(count) ?? []), k]);
  const batches = [...alike].map(([count, members]) => {
    const reach = Math.max(...members.map((k) => Math.ceil((runs[k]!.position + count) / pageTokens)));
    const queries = members.flatMap((k) => Array.from({ length: count }, (_, t) => starts[k]! + t));
    return {
      count,
      members: members.length,
      reach,
      queries: int64(queries),
      table: int64(members.flatMap((k) => Array.from({ length: reach }, (_, p) => runs[k]!.pages[p] ?? 0))),
      // [members, 1, count, 1, 1]
      at: int64(queries.map((token) => positions[token]!)).view([members.length, 1, count, 1, 1]),
    };
  });

  return (layer, q, k, v) => {
    const { keys, values } = store[layer]!;
    const { window } = config.layers[layer]!;
    keys.permute([0, 3, 1, 2]).index_put_([pageOfToken, placeInPage], k);
    values.narrow(3, 0, headDim).permute([0, 2, 1, 3]).index_put_([pageOfToken, placeInPage], v);
    const out = ops.empty([q.shape[0]!, groups * repeats * headDim], { dtype: q.dtype, device });
    for (const { count, members, reach, queries, table, at } of batches) {
      const length = reach * pageTokens;
      const asked = q
        .index_select(0, queries)
        .view([members, count, groups, repeats, headDim])
        .transpose(1, 2)
        .reshape([members, groups, count * repeats, headDim]);
      const seenKeys = keys
        .index_select(0, table)
        .view([members, reach, groups, headDim, pageTokens])
        .permute([0, 2, 3, 1, 4])
        .reshape([members, groups, headDim, length]);
      const seenValues = values
        .index_select(0, table)
        .view([members, reach, groups, pageTokens, -1])
        .transpose(1, 2)
        .reshape([members, groups, length, values.shape[3]!])
        .narrow(3, 0, headDim);
      const key = ops.arange(length, { dtype: "int64", device });
      const distance = at.sub(key);
      const hidden = window === null ? distance.lt(0) : distance.lt(0).logical_or(distance.ge(window));
      const wide = q.dtype === "float64" ? "float64" : "float32";
      const scores = softcap(asked.matmul(seenKeys).to(wide).mul(scale), cap).view([
        members,
        groups,
        count,
        repeats,
        length,
      ]);
      const attended = scores
        .masked_fill(hidden, Number.NEGATIVE_INFINITY)
        .softmax(-1)
        .to(q.dtype)
        .view([members, groups, count * repeats, length])
        .matmul(seenValues)
        .view([members, groups, count, repeats, headDim])
        .transpose(1, 2)
        .reshape([members * count, -1]);
      out.index_copy_(0, queries, attended);
    }
    return out;
  };
}
