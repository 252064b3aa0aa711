// Vectors of one instruction set; stands inside its namespace (each-instruction-set.h).
using Real = AMALGAM_REAL;
typedef Real Vec __attribute__((vector_size(AMALGAM_LANES * sizeof(Real))));
typedef Real LooseVec __attribute__((vector_size(AMALGAM_LANES * sizeof(Real)), aligned(sizeof(Real)), may_alias));
constexpr int kLanes = AMALGAM_LANES;

#define AMALGAM_INLINE AMALGAM_TARGET inline __attribute__((always_inline))

AMALGAM_INLINE Vec load(const Real* from) { return *reinterpret_cast<const LooseVec*>(from); }
AMALGAM_INLINE void store(Real* to, Vec x) { *reinterpret_cast<LooseVec*>(to) = x; }
AMALGAM_INLINE Vec all(Real x) { return x - Vec{}; }
