// Log-probs of the tokens that came, on the processor: the logits of a row are read twice while they are in the cache, and nothing of
// their size is written but the gradient, into their place.
#include <ATen/record_function.h>

#include <array>
#include <cmath>
#include <limits>

#include "kernels.h"
#include "tensor.h"

namespace amalgam {
namespace log_probs {
namespace {

#define AMALGAM_KERNEL "log-probs-kernel.h"
#include "each-instruction-set.h"
#undef AMALGAM_KERNEL

void check(const at::Tensor& logits, const at::Tensor& targets) {
  TORCH_CHECK(logits.device().is_cpu() && targets.device().is_cpu(), "takes tensors on the processor");
  TORCH_CHECK(logits.dim() == 2 && logits.is_contiguous() && logits.size(1) > 0, "logits are not [rows, vocabulary], rows in one piece");
  TORCH_CHECK(targets.scalar_type() == at::kLong && targets.dim() == 1 && targets.size(0) == logits.size(0), "not one target a row");
  const auto* ids = targets.const_data_ptr<int64_t>();
  for (int64_t row = 0; row < targets.numel(); ++row)
    TORCH_CHECK(ids[row] >= 0 && ids[row] < logits.size(1), "target ", ids[row], " is not in the vocabulary of ", logits.size(1));
}

at::ScalarType wide_type(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

// logProbs(logits [rows, vocabulary], targets [rows]): of each row log p(target), the largest logit beside log sum e^(logit - largest)
// [rows, 2], and log sum p^2.
Napi::Value log_probs(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "logProbs", [&]() -> Napi::Value {
    const auto& logits = Tensor::unwrap(info[0]);
    const auto targets = Tensor::unwrap(info[1]).contiguous();
    check(logits, targets);
    const std::array<c10::IValue, 1> given{logits};
    RECORD_FUNCTION("amalgam::log_probs", c10::ArrayRef<const c10::IValue>(given.data(), given.size()));
    std::array<at::Tensor, 3> out;
    const auto options = logits.options().dtype(wide_type(logits));
    out = {at::empty({logits.size(0)}, options), at::empty({logits.size(0), 2}, options), at::empty({logits.size(0)}, options)};
    with_kernels(logits.scalar_type(), [&](auto kernels, auto zero) {
      using Real = typename decltype(kernels)::Real;
      kernels.log_probs(logits.const_data_ptr<decltype(zero)>(), targets.const_data_ptr<int64_t>(), logits.size(0), logits.size(1),
                        out[0].mutable_data_ptr<Real>(), out[1].mutable_data_ptr<Real>(), out[2].mutable_data_ptr<Real>());
    });
    auto result = Napi::Array::New(info.Env(), out.size());
    for (uint32_t k = 0; k < out.size(); ++k) result[k] = Tensor::wrap(info.Env(), out[k]);
    return result;
  });
}

// logProbsGradient(logits, targets, norms, grad, cap): the gradient of the logits, in their place. A cap of 0 is none.
Napi::Value log_probs_gradient(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "logProbsGradient", [&]() -> Napi::Value {
    const auto& logits = Tensor::unwrap(info[0]);
    const auto targets = Tensor::unwrap(info[1]).contiguous(), norms = Tensor::unwrap(info[2]).contiguous(), grad = Tensor::unwrap(info[3]).contiguous();
    check(logits, targets);
    for (const auto& each : {norms, grad})
      TORCH_CHECK(each.scalar_type() == wide_type(logits) && each.device().is_cpu(), "norms and gradients are not of the wide type");
    TORCH_CHECK(norms.numel() == 2 * logits.size(0) && grad.numel() == logits.size(0), "not one norm and one gradient a row");
    const std::array<c10::IValue, 1> given{logits};
    RECORD_FUNCTION("amalgam::log_probs_gradient", c10::ArrayRef<const c10::IValue>(given.data(), given.size()));
    const double cap = info[4].ToNumber().DoubleValue();
    with_kernels(logits.scalar_type(), [&](auto kernels, auto zero) {
      using Real = typename decltype(kernels)::Real;
      kernels.log_probs_gradient(logits.mutable_data_ptr<decltype(zero)>(), targets.const_data_ptr<int64_t>(), norms.const_data_ptr<Real>(),
                                 grad.const_data_ptr<Real>(), logits.size(0), logits.size(1), static_cast<Real>(cap == 0 ? 0 : 1 / cap));
    });
    return info.Env().Undefined();
  });
}

}  // namespace
}  // namespace log_probs

void init_log_probs(Napi::Env env, Napi::Object exports) {
  exports["logProbs"] = Napi::Function::New(env, log_probs::log_probs);
  exports["logProbsGradient"] = Napi::Function::New(env, log_probs::log_probs_gradient);
}

}  // namespace amalgam
