// What kernels on the processor share: threads, memory, and the choice of instructions.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/Version.h>
#include <ATen/ops/empty.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>

namespace amalgam {

// Runs `body` on every thread of libtorch; each takes one task after another. The threads come by way of a tensor iterator, which is
// compiled into libtorch: at::parallel_for is a header's, and needs this file to be compiled and linked for the same OpenMP.
template <typename Body>
void in_parallel(int64_t tasks, const Body& body) {
  std::atomic<int64_t> taken{0};
  const auto next = [&](int64_t* task) { return (*task = taken++) < tasks; };
  auto threads = at::empty({std::min<int64_t>(tasks, at::get_num_threads())}, at::kByte);
  auto iterator = at::TensorIterator::nullary_op(threads);
  iterator.for_each([&](char**, const int64_t*, int64_t count) { for (int64_t k = 0; k < count; ++k) body(next); }, 1);
}

// Memory for `count` numbers, from where tensors have theirs: taken again without page faults, and at a cache line's border.
template <typename Real>
struct Buffer {
  c10::DataPtr numbers;
  explicit Buffer(size_t count) : numbers(c10::GetCPUAllocator()->allocate(count * sizeof(Real))) {}
  Real* data() const { return static_cast<Real*>(numbers.get()); }
};

enum class Isa { plain, avx2, avx512 };

inline Isa best_isa() {
  // What libtorch itself uses: ATEN_CPU_CAPABILITY holds both to less.
  static const Isa isa = [] {
    const std::string name = at::get_cpu_capability();
    return name == "AVX512" ? Isa::avx512 : name == "AVX2" ? Isa::avx2 : Isa::plain;
  }();
  return isa;
}

}  // namespace amalgam
