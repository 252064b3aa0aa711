// Attention over pages for one instruction set (see each-instruction-set.h).
namespace AMALGAM_ISA {

#include "vectors.h"
#include "running-softmax.h"
#include "tiles.h"

// cap * tanh(x / cap)
AMALGAM_INLINE Vec capped(Vec x, Real cap) {
  const Vec one = all(Real{1});
  const Vec part = x * (1 / cap);
  const Vec size = part < Vec{} ? -part : part;
  const Vec power = exponential(size * static_cast<Real>(-2));
  const Vec tanh = (one - power) / (one + power);
  return (part < Vec{} ? -tanh : tanh) * cap;
}

// Room of one thread for a block of queries.
struct Room {
  Buffer<Real> buffer;
  Real *queries, *out;       // [rows, depth]
  Real *scores;              // [rows, kKeys]
  Real *greatest, *total;    // [rows]
  Real *keys, *values;       // a page, where it is of another type
  explicit Room(const Problem& problem)
      : buffer(problem.most_queries * problem.repeats * (2 * problem.depth + kKeys + 2) + kKeys * 2 * problem.depth) {
    const int64_t rows = problem.most_queries * problem.repeats;
    queries = buffer.data();
    out = queries + rows * problem.depth;
    scores = out + rows * problem.depth;
    greatest = scores + rows * kKeys;
    total = greatest + rows;
    keys = total + rows;
    values = keys + kKeys * problem.depth;
  }
};

// The numbers themselves, or a copy of `count` of them in the type that is computed in.
template <typename In>
AMALGAM_TARGET const Real* as_real(const In* from, int64_t count, Real* room) {
  if constexpr (std::is_same_v<In, Real>) {
    return from;
  } else {
    for (int64_t k = 0; k < count; k += kLanes) store(room + k, read(from + k));
    return room;
  }
}

template <typename In>
AMALGAM_TARGET void attend_block(const Problem& problem, const Block& block, int64_t group, const In* q, const In* keys, const In* values,
                                 In* out, Room& room) {
  const int64_t repeats = problem.repeats, depth = problem.depth, dim = problem.dim;
  const Query* queries = problem.queries + block.first_query;
  const int64_t all_rows = block.queries * repeats;
  for (int64_t row = 0; row < all_rows; ++row) {
    const In* source = q + (queries[row / repeats].token * problem.heads + group * repeats + row % repeats) * dim;
    Real* target = room.queries + row * depth;
    for (int64_t d = 0; d < dim; ++d) target[d] = static_cast<Real>(source[d]) * static_cast<Real>(problem.scale);
  }
  std::fill(room.out, room.out + all_rows * depth, Real{0});
  std::fill(room.greatest, room.greatest + all_rows, Real{kHidden});
  std::fill(room.total, room.total + all_rows, Real{0});
  for (const Step* step = problem.steps + block.first_step; step < problem.steps + block.first_step + block.steps; ++step) {
    int64_t reach = 0;  // keys that anybody sees
    for (int64_t k = step->from; k < step->to; ++k) {
      const auto [first, end] = problem.seen(queries[k], *step);
      if (first < end) reach = std::max(reach, end);
    }
    if (reach == 0) continue;
    const int64_t page = step->page * problem.groups + group;
    const int64_t first_row = step->from * repeats, rows = (step->to - step->from) * repeats;
    const Real* page_keys = as_real(keys + page * dim * kKeys, dim * kKeys, room.keys);
    multiply(rows, kKeys, dim, room.queries + first_row * depth, depth, 1, page_keys, kKeys, room.scores, kKeys, false);
    for (int64_t row = 0; row < rows; ++row) {
      Real* score = room.scores + row * kKeys;
      const int64_t place = first_row + row;
      const auto [first, end] = problem.seen(queries[place / repeats], *step);
      if (first >= end) {
        std::fill(score, score + kKeys, Real{0});
        continue;
      }
      if (problem.cap != 0)
        for (int64_t j = 0; j < kKeys; j += kLanes) store(score + j, capped(load(score + j), static_cast<Real>(problem.cap)));
      for (int64_t j = 0; j < first; ++j) score[j] = kHidden;
      for (int64_t j = end; j < kKeys; ++j) score[j] = kHidden;
      take_scores(score, kKeys, room.greatest + place, room.total + place, room.out + place * depth, depth);
    }
    // Places that no token has come to yet hold anything: they are not read.
    const Real* page_values = as_real(values + page * kKeys * depth, reach * depth, room.values);
    multiply(rows, depth, reach, room.scores, kKeys, 1, page_values, depth, room.out + first_row * depth, depth, true);
  }
  for (int64_t row = 0; row < all_rows; ++row) {
    In* target = out + (queries[row / repeats].token * problem.heads + group * repeats + row % repeats) * dim;
    const Real* source = room.out + row * depth;
    for (int64_t d = 0; d < dim; ++d) target[d] = static_cast<In>(source[d] / room.total[row]);
  }
}

template <typename In>
void attend(const Problem& problem, const In* q, const In* keys, const In* values, In* out) {
  in_parallel(problem.block_count * problem.groups, [&](auto next) {
    Room room(problem);
    for (int64_t task; next(&task);)
      attend_block(problem, problem.blocks[task / problem.groups], task % problem.groups, q, keys, values, out, room);
  });
}

// The keys and values of the batch's tokens go to their places in the pages.
template <typename In>
void store_pages(const Problem& problem, const In* k, const In* v, In* keys, In* values) {
  constexpr int64_t kTogether = 32;
  in_parallel((problem.tokens + kTogether - 1) / kTogether, [&](auto next) {
    for (int64_t task; next(&task);)
      for (int64_t token = task * kTogether; token < std::min(problem.tokens, (task + 1) * kTogether); ++token)
        for (int64_t g = 0; g < problem.groups; ++g) {
          const int64_t page = problem.slots[token] / kKeys * problem.groups + g, place = problem.slots[token] % kKeys;
          const In* key = k + (token * problem.groups + g) * problem.dim;
          const In* value = v + (token * problem.groups + g) * problem.dim;
          In* key_page = keys + page * problem.dim * kKeys + place;
          In* value_row = values + (page * kKeys + place) * problem.depth;
          for (int64_t d = 0; d < problem.dim; ++d) key_page[d * kKeys] = key[d];
          for (int64_t d = 0; d < problem.dim; ++d) value_row[d] = value[d];
          for (int64_t d = problem.dim; d < problem.depth; ++d) value_row[d] = In{0};
        }
  });
}

// A type that stands for the namespace.
struct Kernels {
  template <typename... Given>
  static void attend(const Given&... given) {
    AMALGAM_ISA::attend(given...);
  }
  template <typename... Given>
  static void store_pages(const Given&... given) {
    AMALGAM_ISA::store_pages(given...);
  }
};

}  // namespace AMALGAM_ISA
