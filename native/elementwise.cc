// Norms, rotary embeddings and gates on the processor: what libtorch computes there by several operators, each a pass over memory.
#include <ATen/ops/empty_like.h>
#include <ATen/record_function.h>

#include <array>
#include <cmath>

#include "kernels.h"
#include "tensor.h"

namespace amalgam {
namespace elementwise {
namespace {

#define AMALGAM_KERNEL "elementwise-kernel.h"
#include "each-instruction-set.h"
#undef AMALGAM_KERNEL

at::Tensor dense(const Napi::Value& value) { return Tensor::unwrap(value).contiguous(); }

void check_same(const at::Tensor& like, std::initializer_list<at::Tensor> others) {
  TORCH_CHECK(like.device().is_cpu(), "takes tensors on the processor");
  for (const auto& other : others)
    TORCH_CHECK(other.scalar_type() == like.scalar_type() && other.device().is_cpu(), "takes tensors of one type on the processor");
}

at::ScalarType wide_type(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

template <typename... Tensors>
Napi::Value array_of(Napi::Env env, const Tensors&... tensors) {
  auto result = Napi::Array::New(env, sizeof...(tensors));
  uint32_t at = 0;
  ((result[at++] = tensors.defined() ? Tensor::wrap(env, tensors) : env.Null()), ...);
  return result;
}

// rmsNorm(x [..., n], weight [n], epsilon): [x / rms(x) * weight, 1 / rms(x) of each row].
Napi::Value rms_norm(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "rmsNorm", [&]() -> Napi::Value {
    const auto x = dense(info[0]), weight = dense(info[1]);
    check_same(x, {weight});
    const int64_t n = weight.numel();
    TORCH_CHECK(n > 0 && x.dim() > 0 && x.size(-1) == n && weight.dim() == 1, "the weight has not the size of the last dimension");
    const std::array<c10::IValue, 2> given{x, weight};
    RECORD_FUNCTION("amalgam::rms_norm", c10::ArrayRef<const c10::IValue>(given.data(), given.size()));
    auto out = at::empty_like(x);
    auto scales = at::empty({x.numel() / n}, x.options().dtype(wide_type(x)));
    with_kernels(x.scalar_type(), [&](auto kernels, auto zero) {
      using In = decltype(zero);
      kernels.rms_norm(x.const_data_ptr<In>(), weight.const_data_ptr<In>(), scales.numel(), n, info[2].ToNumber().DoubleValue(),
                       out.mutable_data_ptr<In>(), scales.mutable_data_ptr<typename decltype(kernels)::Real>());
    });
    return array_of(info.Env(), out, scales);
  });
}

// rmsNormBackward(grad, x, weight, scales, withWeight): the gradients of x and of the weight (null where it is not wanted).
Napi::Value rms_norm_backward(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "rmsNormBackward", [&]() -> Napi::Value {
    const auto grad = dense(info[0]), x = dense(info[1]), weight = dense(info[2]), scales = dense(info[3]);
    check_same(x, {grad, weight});
    const int64_t n = weight.numel(), rows = scales.numel();
    TORCH_CHECK(grad.numel() == x.numel() && rows * n == x.numel() && scales.scalar_type() == wide_type(x), "the gradient is not that of the output");
    const std::array<c10::IValue, 3> given{grad, x, weight};
    RECORD_FUNCTION("amalgam::rms_norm_backward", c10::ArrayRef<const c10::IValue>(given.data(), given.size()));
    auto grad_x = at::empty_like(x);
    at::Tensor grad_weight;
    if (info[4].ToBoolean()) grad_weight = at::empty({n}, scales.options());
    with_kernels(x.scalar_type(), [&](auto kernels, auto zero) {
      using In = decltype(zero);
      using Real = typename decltype(kernels)::Real;
      kernels.rms_norm_backward(grad.const_data_ptr<In>(), x.const_data_ptr<In>(), weight.const_data_ptr<In>(), scales.const_data_ptr<Real>(),
                                rows, n, grad_x.mutable_data_ptr<In>(), grad_weight.defined() ? grad_weight.mutable_data_ptr<Real>() : nullptr);
    });
    if (grad_weight.defined()) grad_weight = grad_weight.to(x.scalar_type());
    return array_of(info.Env(), grad_x, grad_weight);
  });
}

// rotatePairs(x [T, heads, dim], cosines, sines [T, ..., half], direction): numbers d and half + d turned as one.
Napi::Value rotate_pairs(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "rotatePairs", [&]() -> Napi::Value {
    const auto& given_x = Tensor::unwrap(info[0]);
    TORCH_CHECK(given_x.dim() == 3, "x is not [T, heads, dim]");
    const auto x = given_x.stride(2) == 1 ? given_x : given_x.contiguous();
    const auto cosines = dense(info[1]), sines = dense(info[2]);
    check_same(x, {cosines, sines});
    const int64_t half = cosines.size(-1);
    TORCH_CHECK(cosines.numel() == x.size(0) * half && sines.sizes() == cosines.sizes() && 2 * half <= x.size(2), "the angles don't fit x");
    const std::array<c10::IValue, 1> given{x};
    RECORD_FUNCTION("amalgam::rotate_pairs", c10::ArrayRef<const c10::IValue>(given.data(), given.size()));
    auto out = at::empty(x.sizes(), x.options());
    with_kernels(x.scalar_type(), [&](auto kernels, auto zero) {
      using In = decltype(zero);
      kernels.rotate(x.const_data_ptr<In>(), x.stride(0), x.stride(1), cosines.const_data_ptr<In>(), sines.const_data_ptr<In>(),
                     info[3].ToNumber().DoubleValue(), x.size(0), x.size(1), half, x.size(2), out.mutable_data_ptr<In>());
    });
    return Tensor::wrap(info.Env(), out);
  });
}

// gate(gate, up, isSilu): act(gate) * up; else the activation is GELU by tanh.
Napi::Value gate(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "gate", [&]() -> Napi::Value {
    const auto gates = dense(info[0]), up = dense(info[1]);
    check_same(gates, {up});
    TORCH_CHECK(gates.sizes() == up.sizes(), "gate and up are of different sizes");
    const std::array<c10::IValue, 2> given{gates, up};
    RECORD_FUNCTION("amalgam::gate", c10::ArrayRef<const c10::IValue>(given.data(), given.size()));
    auto out = at::empty_like(gates);
    with_kernels(gates.scalar_type(), [&](auto kernels, auto zero) {
      using In = decltype(zero);
      kernels.gate(info[2].ToBoolean().Value(), gates.const_data_ptr<In>(), up.const_data_ptr<In>(), gates.numel(), out.mutable_data_ptr<In>());
    });
    return Tensor::wrap(info.Env(), out);
  });
}

// gateBackward(grad, gate, up, isSilu): the gradients of gate and up.
Napi::Value gate_backward(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "gateBackward", [&]() -> Napi::Value {
    const auto grad = dense(info[0]), gates = dense(info[1]), up = dense(info[2]);
    check_same(gates, {grad, up});
    TORCH_CHECK(gates.sizes() == up.sizes() && grad.sizes() == up.sizes(), "gate, up and the gradient are of different sizes");
    const std::array<c10::IValue, 3> given{grad, gates, up};
    RECORD_FUNCTION("amalgam::gate_backward", c10::ArrayRef<const c10::IValue>(given.data(), given.size()));
    auto grad_gate = at::empty_like(gates), grad_up = at::empty_like(up);
    with_kernels(gates.scalar_type(), [&](auto kernels, auto zero) {
      using In = decltype(zero);
      kernels.gate_backward(info[3].ToBoolean().Value(), grad.const_data_ptr<In>(), gates.const_data_ptr<In>(), up.const_data_ptr<In>(),
                            gates.numel(), grad_gate.mutable_data_ptr<In>(), grad_up.mutable_data_ptr<In>());
    });
    return array_of(info.Env(), grad_gate, grad_up);
  });
}

}  // namespace
}  // namespace elementwise

void init_elementwise(Napi::Env env, Napi::Object exports) {
  exports["rmsNorm"] = Napi::Function::New(env, elementwise::rms_norm);
  exports["rmsNormBackward"] = Napi::Function::New(env, elementwise::rms_norm_backward);
  exports["rotatePairs"] = Napi::Function::New(env, elementwise::rotate_pairs);
  exports["gate"] = Napi::Function::New(env, elementwise::gate);
  exports["gateBackward"] = Napi::Function::New(env, elementwise::gate_backward);
}

}  // namespace amalgam
