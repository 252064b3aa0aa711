import type { ArenaVersion } from "./verdict.ts";

/** A vocabulary as tiktoken's: how a text is split, and its tokens in order in lines `! OFFSET TOKEN TOKEN ...`, in base64. */
interface Vocabulary {
  readonly pat_str: string;
  readonly bpe_ranks: string;
}

/** tiktoken's encoding of the model that arena-hard-auto counts by: gpt-3.5-turbo in v0.1, gpt-4o in v2.0. */
const vocabularies: Readonly<Record<ArenaVersion, () => Promise<{ readonly default: Vocabulary }>>> = {
  "v0.1": () => import("js-tiktoken/ranks/cl100k_base"),
  "v2.0": () => import("js-tiktoken/ranks/o200k_base"),
};

/** Counts the tokens of a text as arena-hard-auto of the version does, by tiktoken; names of special tokens are plain text. */
export async function tokenCounter(version: ArenaVersion): Promise<(text: string) => number> {
  const { default: vocabulary } = await vocabularies[version]();
  const ranks = ranksOf(vocabulary);
  const pattern = new RegExp(vocabulary.pat_str, "gu");
  return (text) => {
    let count = 0;
    for (const [piece] of text.matchAll(pattern)) count += tokensOf(Buffer.from(piece).toString("latin1"), ranks);
    return count;
  };
}

/** The rank of each token, a sign of its name being a byte. */
function ranksOf({ bpe_ranks }: Vocabulary): ReadonlyMap<string, number> {
  const ranks = new Map<string, number>();
  for (const line of bpe_ranks.split("\n")) {
    const [, offset, ...tokens] = line.split(" ");
    for (const [at, token] of tokens.entries())
      ranks.set(Buffer.from(token, "base64").toString("latin1"), Number(offset) + at);
  }
  return ranks;
}

/**
 * How many tokens byte-pair encoding makes of a piece: of all neighbours that are a token together, the first of the lowest rank are joined,
 * until none are left. Pairs wait in a heap, as a piece may be as long as an answer.
 */
function tokensOf(piece: string, ranks: ReadonlyMap<string, number>): number {
  if (ranks.has(piece)) return 1;
  const size = piece.length;
  // Where the part behind the one that begins here begins, and the part before it.
  const after = Uint32Array.from({ length: size + 1 }, (_, at) => at + 1);
  const before = Int32Array.from({ length: size + 1 }, (_, at) => at - 1);
  // The rank of the part that begins here together with the one behind it; -1 for none.
  const joined = new Int32Array(size + 1).fill(-1);
  const waiting: number[] = [];
  const see = (at: number) => {
    const next = after[at]!;
    const rank = next < size ? (ranks.get(piece.slice(at, after[next]!)) ?? -1) : -1;
    joined[at] = rank;
    if (rank >= 0) push(waiting, rank * places + at);
  };
  for (let at = 0; at < size; at += 1) see(at);
  let count = size;
  for (let least = pop(waiting); least !== undefined; least = pop(waiting)) {
    const at = least % places;
    if (joined[at] !== Math.floor(least / places)) continue;
    const next = after[at]!;
    joined[next] = -1;
    after[at] = after[next]!;
    before[after[at]!] = at;
    count -= 1;
    see(at);
    if (before[at]! >= 0) see(before[at]!);
  }
  return count;
}

/** More than a text has places: rank and place are one number, by which the heap is ordered. */
const places = 2 ** 32;

function push(heap: number[], value: number): void {
  let at = heap.length;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent]! <= value) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = value;
}

function pop(heap: number[]): number | undefined {
  const least = heap[0];
  const last = heap.pop();
  if (heap.length === 0 || last === undefined) return least;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child += 1;
    if (heap[child]! >= last) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return least;
}
