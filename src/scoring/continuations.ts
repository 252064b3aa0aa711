import { bundleAttention, type Decoder, type ForwardOptions, hiddenStates, outputMatrix } from "../models/index.ts";
import { noGrad, ops, scope, type Tensor, tensor, toNumbers } from "../torch/index.ts";
import { type Bundle, bundleTokens, microBatches, packBundles } from "./bundle.ts";
import { tokenLogProbs } from "./token-log-probs.ts";

/** Rows of logits that are held at a time: enough for a fast product, and few beside the weights. */
const rowsOfLogits = 128;

/** Tokens of which the last `scored` are to be rated, each by those before it. */
export interface Continuation {
  readonly ids: readonly number[];
  readonly scored: number;
}

/** Tokens that are computed, with the tokens that are read off behind them. */
interface Path {
  /** All of a continuation but its last token, which predicts nothing. */
  readonly input: readonly number[];
  readonly reads: { readonly index: number; readonly targets: readonly number[] }[];
}

/** Paths that begin alike: what they share is computed once. */
interface Shared {
  readonly length: number;
  readonly paths: readonly Path[];
}

/**
 * The log-likelihood of each continuation: sum log p(token | those before it) over its scored tokens. The sets are given in an order in
 * which those that begin alike stand together, the choices of one question being a set. What continuations share at their beginning is
 * computed once: a context by its choices, examples by the questions that have the same. The last layer is computed where it is read, and
 * logits only of scored tokens. Yields each set's place with its log-likelihoods as soon as they are there. `budget` bounds the tokens that
 * are computed at a time, where a shared beginning is not longer than half of it.
 *
 * @throws RangeError for a continuation without a scored token or without one before it
 */
export async function* continuationLogProbs(
  model: Decoder,
  sets: readonly (readonly Continuation[])[],
  budget: number,
  options: ForwardOptions = {},
): AsyncGenerator<{ readonly set: number; readonly logProbs: readonly number[] }> {
  const setOf = sets.flatMap((set, at) => set.map(() => at));
  const found: number[] = [];
  const missing = sets.map((set) => set.length);
  const starts: number[] = [];
  for (const [at, set] of sets.entries()) {
    starts.push((starts[at - 1] ?? 0) + (sets[at - 1]?.length ?? 0));
    if (set.length === 0) yield { set: at, logProbs: [] };
  }
  let first = 0;
  const paths = sets.map((set) => {
    const own = pathsOf(set, first);
    first += set.length;
    return own;
  });
  for (const batch of microBatches(sharing(paths, budget), sharedTokens, budget)) {
    const values = noGrad(() => scope(() => computed(model, batch, options)));
    const ended: number[] = [];
    for (const { index, value } of values) {
      found[index] = value;
      const set = setOf[index]!;
      missing[set]! -= 1;
      if (missing[set] === 0) ended.push(set);
    }
    for (const set of ended) yield { set, logProbs: found.slice(starts[set], starts[set]! + sets[set]!.length) };
    // Between two batches others have their turn: see docs/architecture.md.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The different inputs of a set: continuations that differ in their last token only are read off the same one. */
function pathsOf(set: readonly Continuation[], first: number): Path[] {
  const paths = new Map<string, Path>();
  for (const [at, { ids, scored }] of set.entries()) {
    if (scored < 1 || scored >= ids.length)
      throw new RangeError(`${scored} of ${ids.length} tokens can't be scored: one must stand before them`);
    const input = ids.slice(0, -1);
    const key = input.join();
    const path = paths.get(key) ?? { input, reads: [] };
    paths.set(key, path);
    path.reads.push({ index: first + at, targets: ids.slice(ids.length - scored) });
  }
  return [...paths.values()];
}

/** Puts sets that stand side by side into one bundle for as long as that is less to compute than each by itself. */
function sharing(sets: readonly (readonly Path[])[], budget: number): Shared[] {
  const bundles: Shared[] = [];
  for (const paths of sets) {
    if (paths.length === 0) continue;
    const alone = within({ length: sharedLength(paths), paths }, budget);
    const last = bundles.at(-1);
    if (last !== undefined && alone.length === 1) {
      const length = commonLength(last.paths[0]!.input, paths[0]!.input, Math.min(last.length, alone[0]!.length));
      const together = { length, paths: [...last.paths, ...paths] };
      const apart = sharedTokens(last) + sharedTokens(alone[0]!);
      if (sharedTokens(together) < apart && sharedTokens(together) <= room(length, budget)) {
        bundles[bundles.length - 1] = together;
        continue;
      }
    }
    bundles.push(...alone);
  }
  return bundles;
}

/** Tokens of a bundle: where the budget is small beside what is shared, as many again, for else most would be computed several times. */
const room = (length: number, budget: number): number => Math.max(budget, 2 * length);

/** A set with more tokens than it has room for, in parts that each compute what is shared. */
function within({ length, paths }: Shared, budget: number): Shared[] {
  return microBatches(paths, ({ input }) => input.length - length, room(length, budget) - length).map((part) => ({
    length,
    paths: part,
  }));
}

const sharedTokens = ({ length, paths }: Shared): number =>
  paths.reduce((sum, { input }) => sum + input.length - length, length);

function sharedLength([first, ...others]: readonly Path[]): number {
  return others.reduce((length, { input }) => commonLength(first!.input, input, length), first!.input.length);
}

function commonLength(a: readonly number[], b: readonly number[], most: number): number {
  let same = 0;
  while (same < most && a[same] === b[same]) same += 1;
  return same;
}

function computed(
  model: Decoder,
  batch: readonly Shared[],
  options: ForwardOptions,
): { readonly index: number; readonly value: number }[] {
  const bundles: Bundle[] = [];
  const rows: number[] = [];
  const targets: number[] = [];
  const owners: number[] = [];
  const indices: number[] = [];
  let start = 0;
  for (const { length, paths } of batch) {
    const endings = paths.filter(({ input }) => input.length > length);
    const bundle = {
      prompt: paths[0]!.input.slice(0, length),
      responses: endings.map(({ input }) => input.slice(length)),
    };
    let ending = start + length;
    for (const { input, reads } of paths) {
      const rowOf = (position: number) => (position < length ? start + position : ending + position - length);
      for (const { index, targets: wanted } of reads) {
        for (const [at, target] of wanted.entries()) {
          rows.push(rowOf(input.length - wanted.length + at));
          targets.push(target);
          owners.push(indices.length);
        }
        indices.push(index);
      }
      ending += input.length - length;
    }
    bundles.push(bundle);
    start += bundleTokens(bundle);
  }
  const packed = packBundles(bundles, model.parameters.get("model.embed_tokens.weight")!.device);
  const needed = [...new Set(rows)].sort((a, b) => a - b);
  const placeOf = new Map(needed.map((row, place) => [row, place]));
  const { device } = packed.ids;
  const int64 = (values: readonly number[]) => tensor(values, [values.length], "int64").to(device, "int64");
  const attend = bundleAttention(model.config, packed.spans);
  const hidden = hiddenStates(model, packed.ids, packed.positions, attend, { ...options, rows: int64(needed) });
  const predicting = hidden.index_select(0, int64(rows.map((row) => placeOf.get(row)!)));
  const perToken = tokenLogProbs(predicting, outputMatrix(model, options), int64(targets), {
    cap: model.config.logitSoftcap,
    size: rowsOfLogits,
  });
  const sums: Tensor = ops
    .zeros([indices.length], { dtype: perToken.dtype, device })
    .index_add(0, int64(owners), perToken);
  return toNumbers(sums).map((value, at) => ({ index: indices[at]!, value }));
}
