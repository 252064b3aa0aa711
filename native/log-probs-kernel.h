// Log-probs of one token a row for one instruction set (see each-instruction-set.h), and their gradients, which take the logits' place.
namespace AMALGAM_ISA {

#include "vectors.h"

// Runs `body` over whole vectors of a row; the last, incomplete one comes on a copy filled up with -infinity.
template <typename In, typename Body>
AMALGAM_INLINE void for_vectors(const In* row, int64_t n, const Body& body) {
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) body(read(row + j));
  if (j == n) return;
  In rest[kLanes];
  std::fill(rest, rest + kLanes, static_cast<In>(-std::numeric_limits<Real>::infinity()));
  std::copy(row + j, row + n, rest);
  body(read(rest));
}

// The largest logit of a row and log sum e^(l - largest), which are kept apart for the precision of what is taken from their sum.
struct Norm {
  Real top, log;
};

// The norm of a row, and log sum p^2. No numbers where a logit is none, or the largest is infinite.
template <typename In>
AMALGAM_TARGET Norm row_norm(const In* row, int64_t n, Real* collisions) {
  Vec largest = all(-std::numeric_limits<Real>::infinity()), none{};
  for_vectors(row, n, [&](Vec x) AMALGAM_TARGET {
    largest = x > largest ? x : largest;
    none = x == x ? none : x;
  });
  alignas(64) Real lanes[kLanes];
  store(lanes, largest);
  const Real top = *std::max_element(lanes, lanes + kLanes);
  Vec sum{}, squares{};
  for_vectors(row, n, [&](Vec x) AMALGAM_TARGET {
    const Vec e = exponential(x - top);
    sum += e;
    squares += e * e;
  });
  const Real log = std::log(sum_of(sum)), no_number = sum_of(none) + (top - top);
  *collisions = std::log(sum_of(squares)) - 2 * log + no_number;
  return {top, log + no_number};
}

// `scale` ([t = target] - p) of each logit l, in its place; times 1 - (l / cap)^2 where logits are capped.
template <typename In>
AMALGAM_TARGET void row_gradient(In* row, int64_t n, int64_t target, Norm norm, Real scale, Real inverse_cap) {
  const Real of_target = static_cast<Real>(row[target]) * inverse_cap;
  const Real slope = 1 - of_target * of_target;
  const Real mark = scale * slope * (1 - std::exp(static_cast<Real>(row[target]) - norm.top - norm.log));
  const auto gradient = [&](Vec x) AMALGAM_TARGET {
    const Vec capped = x * inverse_cap;
    return exponential(x - norm.top - norm.log) * -scale * (1 - capped * capped);
  };
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) write(row + j, gradient(read(row + j)));
  if (j < n) {
    In rest[kLanes] = {};
    std::copy(row + j, row + n, rest);
    write(rest, gradient(read(rest)));
    std::copy(rest, rest + (n - j), row + j);
  }
  row[target] = static_cast<In>(mark);
}

template <typename Row>
void for_rows(int64_t rows, const Row& one) {
  in_parallel(rows, [&](auto next) {
    for (int64_t row; next(&row);) one(row);
  });
}

template <typename In>
void log_probs(const In* logits, const int64_t* targets, int64_t rows, int64_t n, Real* log_probs, Real* norms, Real* collisions) {
  for_rows(rows, [&](int64_t row) {
    const Norm norm = row_norm(logits + row * n, n, collisions + row);
    norms[2 * row] = norm.top;
    norms[2 * row + 1] = norm.log;
    log_probs[row] = static_cast<Real>(logits[row * n + targets[row]]) - norm.top - norm.log;
  });
}

template <typename In>
void log_probs_gradient(In* logits, const int64_t* targets, const Real* norms, const Real* scales, int64_t rows, int64_t n, Real inverse_cap) {
  for_rows(rows, [&](int64_t row) {
    // A row without a log-prob has no gradient either.
    const Norm norm{norms[2 * row], norms[2 * row + 1]};
    row_gradient(logits + row * n, n, targets[row], norm, scales[row] + (norm.log - norm.log), inverse_cap);
  });
}

// A type that stands for the namespace.
struct Kernels {
  using Real = AMALGAM_ISA::Real;
  template <typename... Given>
  static void log_probs(const Given&... given) { AMALGAM_ISA::log_probs(given...); }
  template <typename... Given>
  static void log_probs_gradient(const Given&... given) { AMALGAM_ISA::log_probs_gradient(given...); }
};

}  // namespace AMALGAM_ISA
