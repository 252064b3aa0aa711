// Vectors of one instruction set; stands inside its namespace (each-instruction-set.h).
using Real = AMALGAM_REAL;
typedef Real Vec __attribute__((vector_size(AMALGAM_LANES * sizeof(Real))));
typedef Real LooseVec __attribute__((vector_size(AMALGAM_LANES * sizeof(Real)), aligned(sizeof(Real)), may_alias));
constexpr int kLanes = AMALGAM_LANES;

#define AMALGAM_INLINE AMALGAM_TARGET inline __attribute__((always_inline))

AMALGAM_INLINE Vec load(const Real* from) { return *reinterpret_cast<const LooseVec*>(from); }
AMALGAM_INLINE void store(Real* to, Vec x) { *reinterpret_cast<LooseVec*>(to) = x; }
AMALGAM_INLINE Vec all(Real x) { return x - Vec{}; }

// e^x for x <= 0; 0 where that is below the smallest normal number.
AMALGAM_INLINE Vec exponential(Vec x) {
#ifdef AMALGAM_EXACT
  Vec result;
  for (int k = 0; k < kLanes; ++k) result[k] = std::exp(x[k]);
  return result;
#else
  typedef int32_t Bits __attribute__((vector_size(AMALGAM_LANES * sizeof(int32_t))));
  const Vec least = all(static_cast<Real>(-87.0));
  const Vec bounded = x > least ? x : least;
  // x = n ln 2 + r with whole n and |r| <= ln 2 / 2, which adding and taking away 1.5 * 2^23 rounds to.
  const Vec magic = all(static_cast<Real>(12582912.0));
  const Vec n = bounded * static_cast<Real>(1.44269504088896341) + magic - magic;
  Vec r = bounded - n * static_cast<Real>(0.693359375);
  r -= n * static_cast<Real>(-2.12194440054690583e-4);
  // Taylor's series to r^7: its rest is below 6e-9.
  Vec series = all(static_cast<Real>(1.0 / 5040));
  series = series * r + static_cast<Real>(1.0 / 720);
  series = series * r + static_cast<Real>(1.0 / 120);
  series = series * r + static_cast<Real>(1.0 / 24);
  series = series * r + static_cast<Real>(1.0 / 6);
  series = series * r + static_cast<Real>(0.5);
  series = series * r + static_cast<Real>(1.0);
  series = series * r + static_cast<Real>(1.0);
  const Bits power = (__builtin_convertvector(n, Bits) + 127) << 23;
  const Vec result = series * __builtin_bit_cast(Vec, power);
  return x > least ? result : Vec{};
#endif
}

// Halves are joined until one number is left.
AMALGAM_INLINE Real sum_of(Vec x) {
  alignas(64) Real lanes[kLanes];
  store(lanes, x);
#pragma GCC unroll 8
  for (int half = kLanes / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int k = 0; k < half; ++k) lanes[k] += lanes[k + half];
  return lanes[0];
}
// Tensors of bfloat16 are computed in float, and rounded to the nearest, ties to even.
AMALGAM_INLINE Vec read(const Real* from) { return load(from); }
AMALGAM_INLINE void write(Real* to, Vec x) { store(to, x); }
#ifndef AMALGAM_EXACT
typedef uint16_t Halves __attribute__((vector_size(AMALGAM_LANES * 2)));
typedef uint16_t LooseHalves __attribute__((vector_size(AMALGAM_LANES * 2), aligned(2), may_alias));
typedef uint32_t Words __attribute__((vector_size(AMALGAM_LANES * 4)));

AMALGAM_INLINE Vec read(const at::BFloat16* from) {
  const Halves halves = *reinterpret_cast<const LooseHalves*>(from);
  return __builtin_bit_cast(Vec, __builtin_convertvector(halves, Words) << 16);
}
AMALGAM_INLINE void write(at::BFloat16* to, Vec x) {
  const Words bits = __builtin_bit_cast(Words, x);
  const Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Words quiet = Words{} + 0x7fc0;  // no number: its bits must not round to infinity or beyond
  *reinterpret_cast<LooseHalves*>(to) = __builtin_convertvector(x == x ? rounded : quiet, Halves);
}
#endif
