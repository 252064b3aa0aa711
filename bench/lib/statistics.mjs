export const least = (values) => Math.min(...values);

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** What a table says of one side beside the first. */
export function summary({ name, samples, peakBytes, ...further }, first) {
  const seconds = samples.map((sample) => sample.seconds);
  const others = first.samples.map((sample) => sample.seconds);
  return {
    name,
    runs: seconds.length,
    least: least(seconds),
    median: median(seconds),
    ratioOfLeast: least(seconds) / least(others),
    ratioOfMedians: median(seconds) / median(others),
    peakBytes,
    peakShare: first.peakBytes / peakBytes,
    tokens: samples[0].tokens,
    ...further,
  };
}
