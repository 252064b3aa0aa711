/** Losses that are remembered, and how many there must be before one is called high. */
const remembered = 64;
const least = 16;
/** A loss is a spike where it is so many robust standard deviations above the median, and by this share of it, too. */
const deviations = 8;
const share = 0.25;
/** Steps for which no other spike is told of. */
const silence = 16;

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/**
 * Watches the losses of a training for spikes. The measure is robust: the median of the last 64 losses, and 1.4826 times
 * their median absolute deviation, which is the standard deviation where they are normal (Rousseeuw and Croux 1993). A
 * spike is more than 8 such deviations and more than a quarter above the median; the first 16 losses are never one, and after
 * one the next 16 steps are not told of. Gives what is to be said, or undefined.
 */
export function lossWatch(): (step: number, loss: number) => string | undefined {
  const losses: number[] = [];
  let quietUntil = 0;
  return (step, loss) => {
    const seen = [...losses];
    losses.push(loss);
    if (losses.length > remembered) losses.shift();
    if (seen.length < least || step < quietUntil) return undefined;
    const middle = median(seen);
    const deviation = 1.4826 * median(seen.map((value) => Math.abs(value - middle)));
    if (loss - middle <= Math.max(deviations * deviation, share * Math.abs(middle))) return undefined;
    quietUntil = step + silence;
    return `the loss of step ${step} is ${loss.toPrecision(4)}, and the median of the ${seen.length} before it is ${middle.toPrecision(4)}`;
  };
}
