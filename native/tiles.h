// Small products whose right factor stays in the processor's cache; stands inside an instruction set's namespace, after vectors.h.
constexpr int kPanel = AMALGAM_REGISTERS == 32 ? 4 : 2;  // vectors side by side in a tile of a product
constexpr int kTileRows = 6;

// c [Rows, Panel * lanes] (+)= a [Rows, depth] b [depth, Panel * lanes]; a's strides are free, so that it may be transposed.
template <int Rows, int Panel>
AMALGAM_TARGET void tile(int64_t depth, const Real* a, int64_t a_row, int64_t a_column, const Real* b, int64_t b_row, Real* c,
                         int64_t c_row, bool add) {
  Vec sum[Rows][Panel];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < Panel; ++p) sum[r][p] = add ? load(c + r * c_row + p * kLanes) : Vec{};
  for (int64_t k = 0; k < depth; ++k) {
    Vec right[Panel];
#pragma GCC unroll 8
    for (int p = 0; p < Panel; ++p) right[p] = load(b + k * b_row + p * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vec left = all(a[r * a_row + k * a_column]);
#pragma GCC unroll 8
      for (int p = 0; p < Panel; ++p) sum[r][p] += left * right[p];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < Panel; ++p) store(c + r * c_row + p * kLanes, sum[r][p]);
}

template <int Panel>
AMALGAM_TARGET void columns(int64_t rows, int64_t depth, const Real* a, int64_t a_row, int64_t a_column, const Real* b,
                            int64_t b_row, Real* c, int64_t c_row, bool add) {
  int64_t r = 0;
  for (; r + kTileRows <= rows; r += kTileRows)
    tile<kTileRows, Panel>(depth, a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, add);
  if (rows - r == 3) {
    tile<3, Panel>(depth, a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, add);
    r += 3;
  }
  for (; r + 2 <= rows; r += 2) tile<2, Panel>(depth, a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, add);
  if (r < rows) tile<1, Panel>(depth, a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, add);
}

// c [rows, width] (+)= a [rows, depth] b [depth, width]; width is a multiple of the lanes.
AMALGAM_TARGET void multiply(int64_t rows, int64_t width, int64_t depth, const Real* a, int64_t a_row, int64_t a_column,
                             const Real* b, int64_t b_row, Real* c, int64_t c_row, bool add) {
  int64_t n = 0;
  for (; n + kPanel * kLanes <= width; n += kPanel * kLanes)
    columns<kPanel>(rows, depth, a, a_row, a_column, b + n, b_row, c + n, c_row, add);
  for (; n + 2 * kLanes <= width; n += 2 * kLanes)
    columns<2>(rows, depth, a, a_row, a_column, b + n, b_row, c + n, c_row, add);
  for (; n < width; n += kLanes) columns<1>(rows, depth, a, a_row, a_column, b + n, b_row, c + n, c_row, add);
}
