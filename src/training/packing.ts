/**
 * Packs items of these sizes, in their order, into bins that hold `capacity`: the first bin with room takes an item, and one
 * that is larger has a bin of its own. Returns each bin's items. n items take n log n time: the room of all bins stands in a
 * tree of maxima.
 */
export function packed(sizes: readonly number[], capacity: number): number[][] {
  let leaves = 1;
  while (leaves < sizes.length) leaves *= 2;
  /** Node i has the children 2i and 2i + 1; a leaf is a bin's room, the whole capacity until it is opened. */
  const room = new Float64Array(2 * leaves).fill(capacity);
  const bins: number[][] = [];
  for (const [item, size] of sizes.entries()) {
    const taken = Math.min(size, capacity);
    let node = 1;
    while (node < leaves) node = room[2 * node]! >= taken ? 2 * node : 2 * node + 1;
    const bin = node - leaves;
    bins[bin] ??= [];
    bins[bin].push(item);
    room[node]! -= taken;
    for (node >>= 1; node >= 1; node >>= 1) room[node] = Math.max(room[2 * node]!, room[2 * node + 1]!);
  }
  return bins;
}
