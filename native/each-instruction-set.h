// Includes AMALGAM_KERNEL once for each instruction set, each time in a namespace of its own with a type `Kernels`, and with
//   AMALGAM_ISA     the namespace
//   AMALGAM_TARGET  the attribute that lets a function use the instructions
//   AMALGAM_REAL    float or double: what is computed in
//   AMALGAM_LANES   numbers in a vector
//   AMALGAM_REGISTERS  vectors that the processor has names for
//   AMALGAM_EXACT   set where the exponential is the library's
#if defined(__x86_64__)
#define AMALGAM_ISA avx512
#define AMALGAM_TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma")))
#define AMALGAM_REAL float
#define AMALGAM_LANES 16
#define AMALGAM_REGISTERS 32
#include AMALGAM_KERNEL
#include "end-instruction-set.h"

#define AMALGAM_ISA avx2
#define AMALGAM_TARGET __attribute__((target("avx2,fma")))
#define AMALGAM_REAL float
#define AMALGAM_LANES 8
#define AMALGAM_REGISTERS 16
#include AMALGAM_KERNEL
#include "end-instruction-set.h"
#endif

#define AMALGAM_ISA plain
#define AMALGAM_TARGET
#define AMALGAM_REAL float
#define AMALGAM_LANES 4
#define AMALGAM_REGISTERS 16
#include AMALGAM_KERNEL
#include "end-instruction-set.h"

#define AMALGAM_ISA wide
#define AMALGAM_TARGET
#define AMALGAM_REAL double
#define AMALGAM_LANES 2
#define AMALGAM_REGISTERS 16
#define AMALGAM_EXACT
#include AMALGAM_KERNEL
#include "end-instruction-set.h"

template <typename In, typename Body>
void by_instruction_set(In, const Body& body) {
#if defined(__x86_64__)
  if (best_isa() == Isa::avx512) return body(avx512::Kernels{}, In{});
  if (best_isa() == Isa::avx2) return body(avx2::Kernels{}, In{});
#endif
  body(plain::Kernels{}, In{});
}

// Runs `body` with the kernels for tensors of this type, and a number of the type.
template <typename Body>
void with_kernels(at::ScalarType type, const Body& body) {
  if (type == at::kDouble) return body(wide::Kernels{}, double{});
  if (type == at::kFloat) return by_instruction_set(float{}, body);
  if (type == at::kBFloat16) return by_instruction_set(at::BFloat16{}, body);
  TORCH_CHECK(false, "no kernel for tensors of ", c10::toString(type));
}
