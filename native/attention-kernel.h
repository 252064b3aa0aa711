// Attention over bundles for one instruction set (see each-instruction-set.h).
namespace AMALGAM_ISA {

#include "vectors.h"
#include "running-softmax.h"
#include "tiles.h"

// Scores outside [first, end) of a row of `width` are made to vanish.
AMALGAM_INLINE void hide(Real* row, int64_t first, int64_t end, int64_t width) {
  for (int64_t j = 0; j < first; ++j) row[j] = kHidden;
  for (int64_t j = end; j < width; ++j) row[j] = kHidden;
}

// How many keys of the block are computed: up to the last one that the last query sees, in whole pairs of vectors.
AMALGAM_INLINE int64_t width_of(const Shape& shape, const Queries& at, const Keys& keys) {
  const int64_t end = shape.seen(at, keys, at.count - 1).second;
  return std::min(kKeys, (end + 2 * kLanes - 1) / (2 * kLanes) * (2 * kLanes));
}

// Queries [from, from + count) of segment `s` in group `g`, as rows [count * repeats, depth], times `factor`.
template <typename In>
AMALGAM_TARGET void gather_rows(const Shape& shape, const In* x, int64_t token, int64_t count, int64_t g, Real factor, Real* rows) {
  for (int64_t i = 0; i < count; ++i)
    for (int64_t r = 0; r < shape.repeats; ++r) {
      const In* source = x + ((token + i) * shape.heads + g * shape.repeats + r) * shape.dim;
      Real* row = rows + (i * shape.repeats + r) * shape.depth;
      for (int64_t d = 0; d < shape.dim; ++d) row[d] = static_cast<Real>(source[d]) * factor;
      for (int64_t d = shape.dim; d < shape.depth; ++d) row[d] = 0;
    }
}

// One block of keys or values of group `g`: [kKeys, depth], zero where there is no key or no dimension.
template <typename In>
AMALGAM_TARGET void gather_keys(const Shape& shape, const In* x, const Keys& keys, int64_t g, Real* block) {
  for (int64_t j = 0; j < kKeys; ++j) {
    Real* row = block + j * shape.depth;
    const In* source = x + ((keys.token + j) * shape.groups + g) * shape.dim;
    const int64_t dims = j < keys.count ? shape.dim : 0;
    for (int64_t d = 0; d < dims; ++d) row[d] = static_cast<Real>(source[d]);
    for (int64_t d = dims; d < shape.depth; ++d) row[d] = 0;
  }
}

AMALGAM_TARGET void transpose_block(const Shape& shape, const Real* block, Real* transposed) {
  for (int64_t d = 0; d < shape.depth; ++d)
    for (int64_t j = 0; j < kKeys; ++j) transposed[d * kKeys + j] = block[j * shape.depth + d];
}

// Room of one thread for a block of queries.
struct Room {
  int64_t rows;
  Buffer<Real> buffer;
  Real *queries, *out, *grads, *grad_queries;  // [rows, depth]
  Real *scores, *grad_scores;                  // [rows, kKeys]
  Real *greatest, *total;                      // [rows]
  explicit Room(const Shape& shape) : rows(shape.query_rows()), buffer(rows * (4 * shape.depth + 2 * kKeys + 2)) {
    Real* at = buffer.data();
    for (Real** wide : {&queries, &out, &grads, &grad_queries}) at = (*wide = at) + rows * shape.depth;
    for (Real** scored : {&scores, &grad_scores}) at = (*scored = at) + rows * kKeys;
    greatest = at;
    total = at + rows;
  }
};

// The output and the log-sum-exp of one block of queries, key block after key block with a running softmax.
template <typename In>
AMALGAM_TARGET void attend_block(const Shape& shape, const Queries& at, const Real* keys_transposed, const Real* values, const In* q,
                                 In* out, Real* lse, Room& room) {
  const int64_t rows = at.count * shape.repeats;
  Real* scores = room.scores;
  gather_rows(shape, q, at.token, at.count, at.group, static_cast<Real>(shape.scale), room.queries);
  std::fill(room.greatest, room.greatest + rows, Real{kHidden});
  std::fill(room.total, room.total + rows, Real{0});
  std::fill(room.out, room.out + rows * shape.depth, Real{0});
  for (const Keys& keys : *at.visible) {
    if (!shape.any_seen(at, keys)) continue;
    const int64_t block = (at.group * shape.blocks + keys.block) * kKeys * shape.depth;
    const int64_t width = width_of(shape, at, keys);
    multiply(rows, width, shape.depth, room.queries, shape.depth, 1, keys_transposed + block, kKeys, scores, kKeys, false);
    for (int64_t row = 0; row < rows; ++row) {
      Real* score = scores + row * kKeys;
      const auto [first, end] = shape.seen(at, keys, row / shape.repeats);
      if (first >= end) {
        std::fill(score, score + width, Real{0});
        continue;
      }
      hide(score, first, end, width);
      take_scores(score, width, room.greatest + row, room.total + row, room.out + row * shape.depth, shape.depth);
    }
    multiply(rows, shape.depth, width, scores, kKeys, 1, values + block, shape.depth, room.out, shape.depth, true);
  }
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t token = at.token + row / shape.repeats;
    const int64_t head = at.group * shape.repeats + row % shape.repeats;
    In* target = out + (token * shape.heads + head) * shape.dim;
    const Real* source = room.out + row * shape.depth;
    for (int64_t d = 0; d < shape.dim; ++d) target[d] = static_cast<In>(source[d] / room.total[row]);
    lse[token * shape.heads + head] = room.greatest[row] + std::log(room.total[row]);
  }
}

// What one block of queries gives to the gradients of its keys and values, and its own gradient. `grad_keys` and
// `grad_values` hold this segment's shares: its own blocks, then those of its prompt.
template <typename In>
AMALGAM_TARGET void differentiate_block(const Shape& shape, const Queries& at, const Real* keys, const Real* keys_transposed,
                                        const Real* values_transposed, const In* q, const In* out, const In* grad_out,
                                        const Real* lse, In* grad_q, Real* grad_keys, Real* grad_values, Room& room) {
  const int64_t rows = at.count * shape.repeats;
  const int64_t depth = shape.depth;
  Real* scores = room.scores;
  Real* grad_scores = room.grad_scores;
  Real* queries = room.queries;
  Real* grads = room.grads;
  gather_rows(shape, q, at.token, at.count, at.group, static_cast<Real>(shape.scale), queries);
  gather_rows(shape, grad_out, at.token, at.count, at.group, Real{1}, grads);
  gather_rows(shape, out, at.token, at.count, at.group, Real{1}, room.out);
  std::fill(room.grad_queries, room.grad_queries + rows * depth, Real{0});
  // The softmax's backward takes away sum_j p_j dp_j, which is the output times its gradient.
  for (int64_t row = 0; row < rows; ++row) {
    Vec sum{};
    for (int64_t d = 0; d < depth; d += kLanes) sum += load(grads + row * depth + d) * load(room.out + row * depth + d);
    room.total[row] = sum_of(sum);
    const int64_t token = at.token + row / shape.repeats;
    room.greatest[row] = lse[token * shape.heads + at.group * shape.repeats + row % shape.repeats];
  }
  for (const Keys& seen : *at.visible) {
    if (!shape.any_seen(at, seen)) continue;
    const int64_t block = (at.group * shape.blocks + seen.block) * kKeys * depth;
    const int64_t share = seen.share * kKeys * depth;
    const int64_t width = width_of(shape, at, seen);
    multiply(rows, width, depth, queries, depth, 1, keys_transposed + block, kKeys, scores, kKeys, false);
    multiply(rows, width, depth, grads, depth, 1, values_transposed + block, kKeys, grad_scores, kKeys, false);
    for (int64_t row = 0; row < rows; ++row) {
      Real* score = scores + row * kKeys;
      Real* grad = grad_scores + row * kKeys;
      const auto [first, end] = shape.seen(at, seen, row / shape.repeats);
      if (first >= end) {
        std::fill(score, score + width, Real{0});
        std::fill(grad, grad + width, Real{0});
        continue;
      }
      hide(score, first, end, width);
      for (int64_t j = 0; j < width; j += kLanes) {
        const Vec weight = exponential(load(score + j) - room.greatest[row]);
        store(score + j, weight);
        store(grad + j, weight * (load(grad + j) - room.total[row]));
      }
    }
    multiply(width, depth, rows, scores, 1, kKeys, grads, depth, grad_values + share, depth, true);
    multiply(width, depth, rows, grad_scores, 1, kKeys, queries, depth, grad_keys + share, depth, true);
    multiply(rows, depth, width, grad_scores, kKeys, 1, keys + block, depth, room.grad_queries, depth, true);
  }
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t token = at.token + row / shape.repeats;
    In* target = grad_q + (token * shape.heads + at.group * shape.repeats + row % shape.repeats) * shape.dim;
    const Real* source = room.grad_queries + row * depth;
    for (int64_t d = 0; d < shape.dim; ++d) target[d] = static_cast<In>(source[d] * static_cast<Real>(shape.scale));
  }
}

template <typename In>
void attend(const Plan& plan, const In* q, const In* k, const In* v, In* out, Real* lse) {
  const Shape& shape = plan.shape;
  const int64_t size = shape.groups * shape.blocks * kKeys * shape.depth;
  const Buffer<Real> packed(2 * size);
  Real* keys_transposed = packed.data();
  Real* values = packed.data() + size;
  in_parallel(shape.groups * shape.blocks, [&](auto next) {
    const Buffer<Real> block(kKeys * shape.depth);
    for (int64_t task; next(&task);) {
      const int64_t place = task * kKeys * shape.depth;
      const Keys& keys = plan.keys[task % shape.blocks];
      gather_keys(shape, k, keys, task / shape.blocks, block.data());
      transpose_block(shape, block.data(), keys_transposed + place);
      gather_keys(shape, v, keys, task / shape.blocks, values + place);
    }
  });
  in_parallel(static_cast<int64_t>(plan.queries.size()), [&](auto next) {
    Room room(shape);
    for (int64_t task; next(&task);) attend_block(shape, plan.queries[task], keys_transposed, values, q, out, lse, room);
  });
}

template <typename In>
void differentiate(const Plan& plan, const In* q, const In* k, const In* v, const In* out, const In* grad_out, const Real* lse,
                   In* grad_q, In* grad_k, In* grad_v) {
  const Shape& shape = plan.shape;
  const int64_t block_size = kKeys * shape.depth;
  const int64_t size = shape.groups * shape.blocks * block_size;
  const int64_t share_size = shape.groups * plan.shares * block_size;
  const Buffer<Real> packed(3 * size + 2 * share_size);
  Real* keys = packed.data();
  Real* keys_transposed = keys + size;
  Real* values_transposed = keys_transposed + size;
  Real* grad_keys = values_transposed + size;
  Real* grad_values = grad_keys + share_size;
  in_parallel(shape.groups * shape.blocks, [&](auto next) {
    const Buffer<Real> block(block_size);
    for (int64_t task; next(&task);) {
      const Keys& at = plan.keys[task % shape.blocks];
      gather_keys(shape, k, at, task / shape.blocks, keys + task * block_size);
      transpose_block(shape, keys + task * block_size, keys_transposed + task * block_size);
      gather_keys(shape, v, at, task / shape.blocks, block.data());
      transpose_block(shape, block.data(), values_transposed + task * block_size);
    }
  });
  // The queries of one segment and group belong to one task: nobody else adds to its shares.
  in_parallel(static_cast<int64_t>(plan.runs.size()), [&](auto next) {
    Room room(shape);
    for (int64_t task; next(&task);) {
      const Run& run = plan.runs[task];
      const int64_t from = (run.group * plan.shares + run.first_share) * block_size;
      std::fill(grad_keys + from, grad_keys + from + run.shares * block_size, Real{0});
      std::fill(grad_values + from, grad_values + from + run.shares * block_size, Real{0});
      const int64_t group = run.group * plan.shares * block_size;
      for (int64_t at = run.first_query; at < run.end_query; ++at)
        differentiate_block(shape, plan.queries[at], keys, keys_transposed, values_transposed, q, out, grad_out, lse, grad_q,
                            grad_keys + group, grad_values + group, room);
    }
  });
  in_parallel(shape.groups * shape.blocks, [&](auto next) {
    std::vector<Real> sums(2 * block_size);
    for (int64_t task; next(&task);) {
      const int64_t group = task / shape.blocks;
      const Keys& at = plan.keys[task % shape.blocks];
      std::fill(sums.begin(), sums.end(), Real{0});
      for (int64_t share : plan.shares_of[task % shape.blocks]) {
        const int64_t from = (group * plan.shares + share) * block_size;
        for (int64_t e = 0; e < block_size; ++e) {
          sums[e] += grad_keys[from + e];
          sums[block_size + e] += grad_values[from + e];
        }
      }
      for (int64_t j = 0; j < at.count; ++j)
        for (int64_t d = 0; d < shape.dim; ++d) {
          const int64_t place = ((at.token + j) * shape.groups + group) * shape.dim + d;
          grad_k[place] = static_cast<In>(sums[j * shape.depth + d]);
          grad_v[place] = static_cast<In>(sums[block_size + j * shape.depth + d]);
        }
    }
  });
}

// A type that stands for the namespace.
struct Kernels {
  using Real = AMALGAM_ISA::Real;
  template <typename... Given>
  static void attend(const Given&... given) {
    AMALGAM_ISA::attend(given...);
  }
  template <typename... Given>
  static void differentiate(const Given&... given) {
    AMALGAM_ISA::differentiate(given...);
  }
};

}  // namespace AMALGAM_ISA
