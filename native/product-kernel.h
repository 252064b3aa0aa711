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

// c [kRows, kColumns] (+)= left [depth, kRows]^T right [depth, kColumns], both packed.
AMALGAM_TARGET inline void tile(const Real* left, const Real* right, int64_t depth, Real* c, int64_t c_row, bool add) {
  Vec sum[kRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    __builtin_prefetch(c + r * c_row, 1);
    __builtin_prefetch(c + r * c_row + kColumns - 1, 1);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[r][v] = Vec{};
  }
  for (int64_t k = 0; k < depth; ++k) {
    const Vec first = load(right + k * kColumns), second = load(right + k * kColumns + kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const Vec factor = all(left[k * kRows + r]);
      sum[r][0] += factor * first;
      sum[r][1] += factor * second;
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      Real* place = c + r * c_row + v * kLanes;
      store(place, add ? load(place) + sum[r][v] : sum[r][v]);
    }
}

// Cache lines asked for with each tile: enough for a block of rows by the time that the block before it is done, where rows are wide.
constexpr int64_t kLinesATile = 6;

// Walks over the cache lines of a block of the left factor, which is asked for while the block before it is multiplied.
struct Ahead {
  const Real* numbers = nullptr;
  int64_t stride = 0, lines = 0, line = 0, left = 0;

  AMALGAM_INLINE void start(const Matrix<Real>& a, int64_t i, int64_t k, int64_t rows, int64_t depth) {
    constexpr int64_t kLine = 64 / sizeof(Real);
    const bool by_rows = a.column == 1;
    numbers = a.at(i, k);
    stride = by_rows ? a.row : a.column;
    lines = ((by_rows ? depth : rows) + kLine - 1) / kLine;
    left = by_rows ? rows : depth;
    line = 0;
  }
  AMALGAM_INLINE void some(int64_t count) {
    for (; count > 0 && left > 0; --count) {
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
AMALGAM_TARGET inline void part(const Matrix<Real>& a, const Matrix<Real>& b, int64_t depth, Real* c, int64_t c_row, bool add,
                                std::pair<int64_t, int64_t> m, std::pair<int64_t, int64_t> n, Real* left, Real* right) {
  for (int64_t j0 = n.first; j0 < n.second; j0 += kBlockColumns)
    for (int64_t k0 = 0; k0 < depth; k0 += kDepth) {
      const int64_t deep = std::min(kDepth, depth - k0);
      const int64_t across = std::min(kBlockColumns, n.second - j0);
      const bool adds = add || k0 > 0;
      pack_panels<kColumns>(b.at(k0, j0), b.row, b.column, deep, across, right);
      for (int64_t i0 = m.first; i0 < m.second; i0 += kBlockRows) {
        const int64_t down = std::min(kBlockRows, m.second - i0);
        pack_panels<kRows>(a.at(i0, k0), a.column, a.row, deep, down, left);
        Ahead ahead;
        if (i0 + down < m.second)
          ahead.start(a, i0 + down, k0, std::min(kBlockRows, m.second - i0 - down), deep);
        else if (k0 + deep < depth)
          ahead.start(a, m.first, k0 + deep, std::min(kBlockRows, m.second - m.first), std::min(kDepth, depth - k0 - deep));
        for (int64_t i = 0; i < down; i += kRows)
          for (int64_t j = 0; j < across; j += kColumns) {
            ahead.some(kLinesATile);
            Real* place = c + (i0 + i) * c_row + j0 + j;
            const int64_t rows = std::min<int64_t>(kRows, down - i);
            const int64_t width = std::min(kColumns, across - j);
            if (rows == kRows && width == kColumns) {
              tile(left + i * kDepth, right + j * kDepth, deep, place, c_row, adds);
              continue;
            }
            Real edge[kRows * kColumns];
            tile(left + i * kDepth, right + j * kDepth, deep, edge, kColumns, false);
            for (int64_t r = 0; r < rows; ++r)
              for (int64_t s = 0; s < width; ++s) {
                Real& one = place[r * c_row + s];
                one = adds ? one + edge[r * kColumns + s] : edge[r * kColumns + s];
              }
          }
      }
    }
}

// c [m, n] (+)= a [m, depth] b [depth, n]; the rows of c are `c_row` apart.
inline void multiply(const Matrix<Real>& a, const Matrix<Real>& b, int64_t m, int64_t n, int64_t depth, Real* c, int64_t c_row, bool add) {
  const Grid grid = grid_of(m, n, kRows, kColumns);
  in_parallel(grid.down * grid.across, [&](auto next) {
    const Buffer<Real> left(kDepth * kBlockRows + kLanes), right(kDepth * kBlockColumns + kLanes);
    for (int64_t task; next(&task);)
      part(a, b, depth, c, c_row, add, share(m, kRows, grid.down, task / grid.across), share(n, kColumns, grid.across, task % grid.across),
           left.data(), right.data());
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
