// A softmax over blocks of keys that come one after another; stands inside an instruction set's namespace, after vectors.h.
AMALGAM_INLINE Real greatest_of(Vec x) {
  alignas(64) Real lanes[kLanes];
  store(lanes, x);
#pragma GCC unroll 8
  for (int half = kLanes / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int k = 0; k < half; ++k) lanes[k] = lanes[k + half] > lanes[k] ? lanes[k + half] : lanes[k];
  return lanes[0];
}

// One row's next block: its scores [width] become weights by the greatest score so far, and what stands for the blocks before
// (the total of the weights and the output [depth]) is brought to it. The sizes are multiples of the lanes.
AMALGAM_INLINE void take_scores(Real* scores, int64_t width, Real* greatest, Real* total, Real* out, int64_t depth) {
  Vec best = load(scores);
  for (int64_t j = kLanes; j < width; j += kLanes) {
    const Vec next = load(scores + j);
    best = next > best ? next : best;
  }
  const Real before = *greatest, now = std::max(before, greatest_of(best));
  Vec sum{};
  for (int64_t j = 0; j < width; j += kLanes) {
    const Vec weight = exponential(load(scores + j) - now);
    store(scores + j, weight);
    sum += weight;
  }
  const Real kept = before == now ? Real{1} : std::exp(before - now);
  *greatest = now;
  *total = *total * kept + sum_of(sum);
  if (kept != Real{1})
    for (int64_t d = 0; d < depth; d += kLanes) store(out + d, load(out + d) * kept);
}
