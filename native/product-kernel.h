// Matrix products for one instruction set (see each-instruction-set.h), after Goto and van de Geijn (2008): a block of the right
// factor is packed so that it stays in the second-level cache, a few rows of the left one so that they stay in the first, and a tile
// of the result stays in registers while `kDepth` numbers of each are multiplied.
namespace AMALGAM_ISA {

#include "vectors.h"

constexpr int kVectors = 2;                                  // of a row of a tile
constexpr int kRows = AMALGAM_REGISTERS == 32 ? 12 : 6;      // of a tile: its vectors and a row of the right factor fit the registers
constexpr int64_t kColumns = kVectors * kLanes;
constexpr int64_t kDepth = 192;
constexpr int64_t kBlockColumns = 768;  // of the right factor that are packed at a time
constexpr int64_t kBlockRows = 96;       // of the left one

// Lane j of row i and lane i of row j change places.
AMALGAM_INLINE void transpose(Vec (&x)[kLanes]) {
  typedef std::conditional_t<sizeof(Real) == 4, int32_t, int64_t> Index;
  typedef Index Indices __attribute__((vector_size(sizeof(Vec))));
#pragma GCC unroll 8
  for (int step = 1; step < kLanes; step *= 2) {
    Indices upper{}, lower{};
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j) {
      upper[j] = (j & step) != 0 ? kLanes + j - step : j;
      lower[j] = (j & step) != 0 ? kLanes + j : j + step;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i)
      if ((i & step) == 0) {
        const Vec a = x[i], b = x[i + step];
        x[i] = __builtin_shuffle(a, b, upper);
        x[i + step] = __builtin_shuffle(a, b, lower);
      }
  }
}

// `width` columns side by side: packed [depth, Width] from x(k, j) = x[k * along + j * across]; zero where there are none.
template <int64_t Width>
AMALGAM_TARGET void pack(const Real* x, int64_t along, int64_t across, int64_t depth, int64_t width, Real* packed) {
  if (across == 1 && width == Width) {
    for (int64_t k = 0; k < depth; ++k) __builtin_memcpy(packed + k * Width, x + k * along, Width * sizeof(Real));
    return;
  }
  int64_t k = 0;
  if (along == 1 && width == Width)
    for (; k + kLanes <= depth; k += kLanes)
      for (int64_t from = 0; from < Width; from += kLanes) {
        Vec block[kLanes];
        const int64_t count = std::min<int64_t>(kLanes, Width - from);
#pragma GCC unroll 16
        for (int64_t j = 0; j < kLanes; ++j) block[j] = j < count ? load(x + (from + j) * across + k) : Vec{};
        transpose(block);
        // Lanes beyond the width are overwritten by the next row's.
#pragma GCC unroll 16
        for (int64_t r = 0; r < kLanes; ++r) store(packed + (k + r) * Width + from, block[r]);
      }
  for (; k < depth; ++k)
    for (int64_t j = 0; j < Width; ++j) packed[k * Width + j] = j < width ? x[k * along + j * across] : Real{0};
}

// `width` columns in panels of Width, [kDepth, Width] each.
template <int64_t Width>
AMALGAM_TARGET void pack_panels(const Real* x, int64_t along, int64_t across, int64_t depth, int64_t width, Real* packed) {
  // Where a row of x lies in memory as it is, some rows are read to their ends before the next ones.
  const int64_t together = across == 1 ? 16 : depth;
  for (int64_t k = 0; k < depth; k += together)
    for (int64_t j = 0; j < width; j += Width)
      pack<Width>(x + k * along + j * across, along, across, std::min(together, depth - k), std::min(Width, width - j),
                  packed + j * kDepth + k * Width);
}

// A tile of the result.
struct Sum {
  Vec rows[kRows][kVectors];
};

// Where a tile goes and what is added to it, null for nothing: rows lie `c_row` and `plus_row` apart.
struct Place {
  Real* c;
  int64_t c_row;
  const Real* plus;
  int64_t plus_row;
};

#include "thin-product.h"

// All zero; the memory that it needs in the end is asked for.
AMALGAM_INLINE void begin(Sum& sum, const Place& place) {
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    __builtin_prefetch(place.c + r * place.c_row, 1);
    __builtin_prefetch(place.c + r * place.c_row + kColumns - 1, 1);
    if (place.plus != place.c && place.plus != nullptr) {
      __builtin_prefetch(place.plus + r * place.plus_row);
      __builtin_prefetch(place.plus + r * place.plus_row + kColumns - 1);
    }
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum.rows[r][v] = Vec{};
  }
}

AMALGAM_INLINE void finish(const Sum& sum, const Place& place) {
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const Vec plus = place.plus == nullptr ? Vec{} : load(place.plus + r * place.plus_row + v * kLanes);
      store(place.c + r * place.c_row + v * kLanes, plus + sum.rows[r][v]);
    }
}

// left [depth, kRows]^T right [depth, kColumns], both packed.
AMALGAM_TARGET inline void tile(const Real* left, const Real* right, int64_t depth, const Place& place) {
  Sum sum;
  begin(sum, place);
  for (int64_t k = 0; k < depth; ++k) {
    const Vec first = load(right + k * kColumns), second = load(right + k * kColumns + kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const Vec factor = all(left[k * kRows + r]);
      sum.rows[r][0] += factor * first;
      sum.rows[r][1] += factor * second;
    }
  }
  finish(sum, place);
}

// The same from rows of the left factor as they lie, `left_row` apart.
AMALGAM_TARGET inline void tile_of_rows(const Real* left, int64_t left_row, const Real* right, int64_t depth, const Place& place) {
  Sum sum;
  begin(sum, place);
  // Three rows from each pointer: one for each would leave no register for anything else.
  const Real* rows[kRows / 3];
#pragma GCC unroll 4
  for (int r = 0; r < kRows / 3; ++r) rows[r] = left + 3 * r * left_row;
  for (int64_t k = 0; k < depth; ++k) {
    const Vec first = load(right), second = load(right + kLanes);
    right += kColumns;
#pragma GCC unroll 4
    for (int r = 0; r < kRows / 3; ++r) {
#pragma GCC unroll 3
      for (int s = 0; s < 3; ++s) {
        const Vec factor = all(rows[r][s * left_row]);
        sum.rows[3 * r + s][0] += factor * first;
        sum.rows[3 * r + s][1] += factor * second;
      }
      ++rows[r];
    }
  }
  finish(sum, place);
}

// Walks over the cache lines of a block of a factor, which is asked for while the block before it is multiplied.
struct Ahead {
  const Real* numbers = nullptr;
  int64_t stride = 0, lines = 0, line = 0, left = 0, each = 0;

  // Rows [i, i + rows) and columns [k, k + columns) of x, in so many `steps`.
  AMALGAM_INLINE void start(const Matrix<Real>& x, int64_t i, int64_t k, int64_t rows, int64_t columns, int64_t steps) {
    constexpr int64_t kLine = 64 / sizeof(Real);
    const bool by_rows = x.column == 1;
    numbers = x.at(i, k);
    stride = by_rows ? x.row : x.column;
    lines = ((by_rows ? columns : rows) + kLine - 1) / kLine;
    left = by_rows ? rows : columns;
    line = 0;
    each = (lines * left + steps - 1) / steps;
  }
  AMALGAM_INLINE void step() {
    for (int64_t count = each; count > 0 && left > 0; --count) {
      __builtin_prefetch(numbers + line * (64 / sizeof(Real)), 0, 2);
      if (++line == lines) {
        line = 0;
        --left;
        numbers += stride;
      }
    }
  }
};

// One task's part of the result: rows [m.first, m.second), columns [n.first, n.second).
AMALGAM_TARGET inline void part(const Matrix<Real>& a, const Matrix<Real>& b, int64_t depth, const Place& whole,
                                std::pair<int64_t, int64_t> m, std::pair<int64_t, int64_t> n, Real* left, Real* right) {
  // Rows of the left factor that are each in one piece are read where they are.
  const bool by_rows = a.column == 1;
  const int64_t block_rows = by_rows ? kRows : kBlockRows;
  const auto tiles_of = [](int64_t rows, int64_t columns) { return (rows + kRows - 1) / kRows * ((columns + kColumns - 1) / kColumns); };
  for (int64_t j0 = n.first; j0 < n.second; j0 += kBlockColumns)
    for (int64_t k0 = 0; k0 < depth; k0 += kDepth) {
      const int64_t deep = std::min(kDepth, depth - k0);
      const int64_t across = std::min(kBlockColumns, n.second - j0);
      pack_panels<kColumns>(b.at(k0, j0), b.row, b.column, deep, across, right);
      Ahead ahead_right;
      const bool deeper = k0 + deep < depth;
      const int64_t next_k = deeper ? k0 + deep : 0, next_j = deeper ? j0 : j0 + across;
      if (next_j < n.second)
        ahead_right.start(b, next_k, next_j, std::min(kDepth, depth - next_k), std::min(kBlockColumns, n.second - next_j),
                          tiles_of(m.second - m.first, across));
      for (int64_t i0 = m.first; i0 < m.second; i0 += block_rows) {
        const int64_t down = std::min(block_rows, m.second - i0);
        const bool as_it_is = by_rows && down == kRows;
        if (!as_it_is) pack_panels<kRows>(a.at(i0, k0), a.column, a.row, deep, down, left);
        Ahead ahead_left;
        if (i0 + down < m.second)
          ahead_left.start(a, i0 + down, k0, std::min(block_rows, m.second - i0 - down), deep, tiles_of(down, across));
        else if (deeper)
          ahead_left.start(a, m.first, next_k, std::min(block_rows, m.second - m.first), std::min(kDepth, depth - next_k), tiles_of(down, across));
        for (int64_t i = 0; i < down; i += kRows)
          for (int64_t j = 0; j < across; j += kColumns) {
            ahead_left.step();
            ahead_right.step();
            Place place{whole.c + (i0 + i) * whole.c_row + j0 + j, whole.c_row, nullptr, 0};
            if (k0 > 0) {
              place.plus = place.c;
              place.plus_row = place.c_row;
            } else if (whole.plus != nullptr) {
              place.plus = whole.plus + (i0 + i) * whole.plus_row + j0 + j;
              place.plus_row = whole.plus_row;
            }
            const auto compute = [&](const Place& into) AMALGAM_TARGET {
              if (as_it_is)
                tile_of_rows(a.at(i0, k0), a.row, right + j * kDepth, deep, into);
              else
                tile(left + i * kDepth, right + j * kDepth, deep, into);
            };
            const int64_t rows = std::min<int64_t>(kRows, down - i);
            const int64_t width = std::min(kColumns, across - j);
            if (rows == kRows && width == kColumns) {
              compute(place);
              continue;
            }
            Real edge[kRows * kColumns];
            compute({edge, kColumns, nullptr, 0});
            for (int64_t r = 0; r < rows; ++r)
              for (int64_t s = 0; s < width; ++s)
                place.c[r * place.c_row + s] = edge[r * kColumns + s] + (place.plus == nullptr ? Real{0} : place.plus[r * place.plus_row + s]);
          }
      }
    }
}

// c [m, n] = a [m, depth] b [depth, n], plus what `place` says.
inline void multiply(const Matrix<Real>& a, const Matrix<Real>& b, int64_t m, int64_t n, int64_t depth, Real* c, int64_t c_row,
                     const Real* plus, int64_t plus_row) {
  if (m <= kThin && a.column == 1 && b.row == 1) return thin(a.numbers, a.row, b.numbers, b.column, m, n, depth, {c, c_row, plus, plus_row});
  const Grid grid = grid_of(m, n, kRows, kColumns, a.column != 1);
  in_parallel(grid.down * grid.across, [&](auto next) {
    const Buffer<Real> left(kDepth * kBlockRows + kLanes), right(kDepth * kBlockColumns + kLanes);
    for (int64_t task; next(&task);)
      part(a, b, depth, {c, c_row, plus, plus_row}, share(m, kRows, grid.down, task / grid.across),
           share(n, kColumns, grid.across, task % grid.across), left.data(), right.data());
  });
}

// A type that stands for the namespace.
struct Kernels {
  template <typename... Given>
  static void multiply(const Given&... given) {
    AMALGAM_ISA::multiply(given...);
  }
};

}  // namespace AMALGAM_ISA
