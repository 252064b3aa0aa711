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

/**
 * The fold of each of `count` examples, as scikit-learn's GroupKFold deals groups of equal size out: from the last of the sorted to the first, in turn.
 */
export function foldsOf(count: number, folds: number, order: readonly number[] = orderOfTies(count)): number[] {
  const result = Array<number>(count).fill(0);
  for (const [turn, place] of [...order].reverse().entries()) result[place] = turn % folds;
  return result;
}
