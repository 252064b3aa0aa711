/** A run of places up to this length is left as it is. */
const shortRun = 15;

/**
 * The places 0..count-1 in the order in which numpy's argsort (2.2, without vector instructions) leaves values that are all alike: introsort's
 * swaps move them about though nothing is less than anything. scikit-learn's folds hang on it.
 */
export function orderOfTies(count: number): number[] {
  const order = Array.from({ length: count }, (_, place) => place);
  const swap = (a: number, b: number) => {
    [order[a], order[b]] = [order[b]!, order[a]!];
  };
  const waiting: (readonly [number, number])[] = [[0, count - 1]];
  for (let run = waiting.pop(); run !== undefined; run = waiting.pop()) {
    const [left, right] = run;
    if (right - left <= shortRun) continue;
    swap(left + ((right - left) >> 1), right - 1);
    let [from, to] = [left + 1, right - 2];
    for (; from < to; from += 1, to -= 1) swap(from, to);
    swap(from, right - 1);
    waiting.push([left, from - 1], [from + 1, right]);
  }
  return order;
}

/** Places that a register of AVX-512 holds, and those that are moved in one step. */
const lanes = 8;
const step = 4 * lanes;
/** Up to here versions of numpy differ. */
const ordersDiffer = 256;

/**
 * The same of numpy 1.25 to 2.2 on a processor with AVX-512 (argsort of x86-simd-sort): a single partition, in which nothing is less than
 * the pivot. So every register goes to the right, the first one last; only what does not fill a step changes places one by one.
 *
 * @throws RangeError for 256 places or fewer
 */
export function vectorOrderOfTies(count: number): number[] {
  if (count <= ordersDiffer) throw new RangeError(`versions of numpy differ on ${count} places`);
  const order = Array.from({ length: count }, (_, place) => place);
  let right = count;
  for (let single = count % step; single > 0; single -= 1) {
    right -= 1;
    [order[0], order[right]] = [order[right]!, order[0]!];
  }
  const steps = Array.from({ length: right / step }, (_, at) => order.slice(at * step, (at + 1) * step));
  // The outermost steps are kept for the end, and the next is taken from the left; from then on there is room on the right only.
  const [first, second, ...others] = steps;
  const last = others.pop();
  const moved = [second, ...others.reverse(), first, last].flatMap((each) => each ?? []);
  for (let from = 0; from < right; from += lanes) {
    const to = right - from - lanes;
    for (let lane = 0; lane < lanes; lane += 1) order[to + lane] = moved[from + lane]!;
  }
  return order;
}

/** Which order of ties the folds are dealt in: that of numpy without vector instructions, or with AVX-512. */
export type FoldOrder = keyof typeof orders;
const orders = { scalar: orderOfTies, avx512: vectorOrderOfTies };

/**
 * The fold of each of `count` examples, as scikit-learn's GroupKFold deals groups of equal size out: from the last of the sorted to the first, in turn.
 */
export function foldsOf(count: number, folds: number, order: FoldOrder = "scalar"): number[] {
  const result = Array<number>(count).fill(0);
  for (const [turn, place] of orders[order](count).reverse().entries()) result[place] = turn % folds;
  return result;
}
