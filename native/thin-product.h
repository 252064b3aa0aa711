// Products of few rows with a weight whose rows lie in one piece each; stands inside an instruction set's namespace, after `transpose`.
// The weight is read as it lies, once, and nothing is packed: reading it is what such a product costs. Each number of the result is one
// sum in one order, whatever the other rows are.
constexpr int kThinRows = 6;         // of a tile
constexpr int64_t kThinBlock = 8;    // rows of the weight that stay in the first-level cache while all rows of x meet them
constexpr int64_t kThinColumns = 64;  // of the result, for a task

// Rows of the weight that are read side by side: their sums, they themselves and a row of x fit the registers.
constexpr int thin_weights(int rows) {
  int weights = 8;
  while (weights > 1 && (rows + 1) * weights + 1 > AMALGAM_REGISTERS) weights /= 2;
  return weights;
}

// c [Rows, Weights] = x [Rows, depth] w [Weights, depth]^T, plus what is there already where `plus` is given.
// What lies `ahead` after w is asked for meanwhile.
template <int Rows, int Weights>
AMALGAM_TARGET void dots(const Real* x, int64_t x_row, const Real* w, int64_t w_row, int64_t ahead, int64_t depth, const Place& place) {
  constexpr int kCount = Rows * Weights, kGroups = (kCount + kLanes - 1) / kLanes;
  Vec sum[Rows][Weights];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int j = 0; j < Weights; ++j) sum[r][j] = Vec{};
  int64_t k = 0;
  for (; k + kLanes <= depth; k += kLanes) {
    Vec right[Weights];
#pragma GCC unroll 8
    for (int j = 0; j < Weights; ++j) {
      right[j] = load(w + j * w_row + k);
      __builtin_prefetch(w + ahead + j * w_row + k, 0, 2);
    }
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vec left = load(x + r * x_row + k);
#pragma GCC unroll 8
      for (int j = 0; j < Weights; ++j) sum[r][j] += left * right[j];
    }
  }
  Real result[kGroups * kLanes];
  for (int group = 0; group < kGroups; ++group) {
    Vec lanes[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      const int at = group * kLanes + i;
      lanes[i] = at < kCount ? sum[at / Weights][at % Weights] : Vec{};
    }
    transpose(lanes);
#pragma GCC unroll 16
    for (int i = 1; i < kLanes; ++i) lanes[0] += lanes[i];
    store(result + group * kLanes, lanes[0]);
  }
  for (int r = 0; r < Rows; ++r)
    for (int j = 0; j < Weights; ++j) {
      Real total = result[r * Weights + j];
      for (int64_t rest = k; rest < depth; ++rest) total += x[r * x_row + rest] * w[j * w_row + rest];
      place.c[r * place.c_row + j] = total + (place.plus == nullptr ? Real{0} : place.plus[r * place.plus_row + j]);
    }
}

template <int Rows>
AMALGAM_TARGET void dots_of_rows(const Real* x, int64_t x_row, const Real* w, int64_t w_row, int64_t ahead, int64_t count, int64_t depth,
                                 const Place& place) {
  constexpr int kWeights = thin_weights(Rows);
  const auto at = [&](int64_t j) { return Place{place.c + j, place.c_row, place.plus == nullptr ? nullptr : place.plus + j, place.plus_row}; };
  int64_t j = 0;
  for (; j + kWeights <= count; j += kWeights) dots<Rows, kWeights>(x, x_row, w + j * w_row, w_row, ahead, depth, at(j));
  for (; j < count; ++j) dots<Rows, 1>(x, x_row, w + j * w_row, w_row, ahead, depth, at(j));
}

// c [m, n] = x [m, depth] w [n, depth]^T, plus what `whole` says.
inline void thin(const Real* x, int64_t x_row, const Real* w, int64_t w_row, int64_t m, int64_t n, int64_t depth, const Place& whole) {
  const int64_t tiles = (m + kThinRows - 1) / kThinRows;
  in_parallel((n + kThinColumns - 1) / kThinColumns, [&](auto next) {
    for (int64_t task; next(&task);) {
      const int64_t end = std::min(n, (task + 1) * kThinColumns);
      for (int64_t j = task * kThinColumns; j < end; j += kThinBlock) {
        const int64_t count = std::min(kThinBlock, end - j);
        for (int64_t tile = 0; tile < tiles; ++tile) {
          const int64_t first = m * tile / tiles, rows = m * (tile + 1) / tiles - first;
          const Place place{whole.c + first * whole.c_row + j, whole.c_row,
                            whole.plus == nullptr ? nullptr : whole.plus + first * whole.plus_row + j, whole.plus_row};
          const auto with = [&](auto constant) {
            // The next block, once.
            const int64_t ahead = tile + 1 == tiles ? kThinBlock * w_row : 0;
            dots_of_rows<constant.value>(x + first * x_row, x_row, w + j * w_row, w_row, ahead, count, depth, place);
          };
          switch (rows) {
            case 1: with(std::integral_constant<int, 1>{}); break;
            case 2: with(std::integral_constant<int, 2>{}); break;
            case 3: with(std::integral_constant<int, 3>{}); break;
            case 4: with(std::integral_constant<int, 4>{}); break;
            case 5: with(std::integral_constant<int, 5>{}); break;
            default: with(std::integral_constant<int, 6>{});
          }
        }
      }
    }
  });
}
