// Matrix products on the processor, added to what stands where they go: gradients of weights over many rows, of either layout.
#include <array>
#include <type_traits>
#include <utility>

#include <ATen/record_function.h>

#include "kernels.h"
#include "tensor.h"

namespace amalgam {
namespace product {
namespace {

template <typename Real>
struct Matrix {
  const Real* numbers;
  int64_t row, column;  // strides
  const Real* at(int64_t i, int64_t j) const { return numbers + i * row + j * column; }
};

// How the result is parted among tasks.
struct Grid {
  int64_t down, across;
};

// The part `index` of `size` numbers in `parts` parts, each a multiple of `unit` but the last.
std::pair<int64_t, int64_t> share(int64_t size, int64_t unit, int64_t parts, int64_t index) {
  const int64_t units = (size + unit - 1) / unit;
  return {std::min(size, units * index / parts * unit), std::min(size, units * (index + 1) / parts * unit)};
}

// A task for each thread, in the parts of the result whose factors are least work to pack (the left one may not need to be); more tasks
// where the result is large.
Grid grid_of(int64_t m, int64_t n, int64_t rows, int64_t columns, bool packs_left) {
  const int64_t threads = at::get_num_threads();
  Grid best{threads, 1};
  double least = 0;
  for (int64_t across = 1; across <= threads; ++across) {
    if (threads % across != 0) continue;
    const Grid grid{threads / across, across};
    const double packed = (packs_left ? static_cast<double>(m) / grid.down : 0) + static_cast<double>(n) / grid.across;
    if (across == 1 || packed < least) {
      best = grid;
      least = packed;
    }
  }
  constexpr int64_t kTaskRows = 1024;
  if (packs_left) best.down *= std::max<int64_t>(1, m / best.down / kTaskRows);
  best.down = std::min(best.down, (m + rows - 1) / rows);
  best.across = std::min(best.across, (n + columns - 1) / columns);
  return best;
}

// Rows of the left factor up to which a right factor is read where it lies, if it may be.
constexpr int64_t kThin = 16;

#define AMALGAM_KERNEL "product-kernel.h"
#include "each-instruction-set.h"
#undef AMALGAM_KERNEL

// addProduct(c, a, b, plus): c [m, n] = plus + a [m, k] b [k, n]. `plus` is null, c itself, or another matrix that doesn't overlap c; its
// rows and those of c are each in one piece. Fast where a and b have a stride of 1.
Napi::Value add_product(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "addProduct", [&]() -> Napi::Value {
    const auto &c = Tensor::unwrap(info[0]), &a = Tensor::unwrap(info[1]), &b = Tensor::unwrap(info[2]);
    const at::Tensor plus = info[3].IsNull() ? at::Tensor{} : Tensor::unwrap(info[3]);
    const std::array<c10::IValue, 3> given{c, a, b};
    RECORD_FUNCTION("amalgam::add_product", c10::ArrayRef<const c10::IValue>(given.data(), given.size()));
    for (const auto& x : {c, a, b})
      TORCH_CHECK(x.device().is_cpu() && x.dim() == 2 && x.scalar_type() == c.scalar_type(), "takes matrices of one type on the processor");
    TORCH_CHECK(a.size(1) == b.size(0) && c.size(0) == a.size(0) && c.size(1) == b.size(1) && c.stride(1) == 1,
                "the matrices don't fit together");
    if (plus.defined())
      TORCH_CHECK(plus.device().is_cpu() && plus.scalar_type() == c.scalar_type() && plus.sizes() == c.sizes() && (plus.stride(1) == 1 || c.size(1) == 1),
                  "what is added has not the form of the product");
    if (c.numel() == 0) return info.Env().Undefined();
    if (a.size(1) == 0) {
      if (plus.defined()) c.copy_(plus);
      else c.zero_();
      return info.Env().Undefined();
    }
    const auto multiply = [&](auto kernels, auto zero) {
      using Real = decltype(zero);
      const auto matrix = [](const at::Tensor& x) { return Matrix<Real>{x.const_data_ptr<Real>(), x.stride(0), x.stride(1)}; };
      kernels.multiply(matrix(a), matrix(b), c.size(0), c.size(1), a.size(1), c.mutable_data_ptr<Real>(), c.stride(0),
                       plus.defined() ? plus.const_data_ptr<Real>() : nullptr, plus.defined() ? plus.stride(0) : 0);
    };
    if (c.scalar_type() == at::kDouble)
      multiply(wide::Kernels{}, double{});
    else if (c.scalar_type() == at::kFloat)
      by_instruction_set(float{}, multiply);
    else
      TORCH_CHECK(false, "no kernel for tensors of ", c10::toString(c.scalar_type()));
    return info.Env().Undefined();
  });
}

}  // namespace
}  // namespace product

void init_product(Napi::Env env, Napi::Object exports) { exports["addProduct"] = Napi::Function::New(env, product::add_product); }

}  // namespace amalgam
