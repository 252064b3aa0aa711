// Backward, and custom functions whose backward is a TypeScript closure.
#include <c10/core/AutogradState.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include "tensor.h"

namespace amalgam {
namespace {

// What a closure threw while the engine ran: thrown again, as it was, once the engine has unwound.
Napi::Reference<Napi::Value> pending_error;

struct ClosureNode : public torch::autograd::Node {
  explicit ClosureNode(Napi::Env e) : env(e) {}

  Napi::Env env;
  Napi::FunctionReference closure;
  std::vector<at::Tensor> saved;
  std::vector<uint32_t> versions;
  size_t inputs = 0;

  std::string name() const override { return "TypeScriptFunction"; }

  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) override {
    Napi::HandleScope handles(env);
    if (closure.IsEmpty()) throw std::runtime_error("backward went through a custom function twice; retain the graph to allow it");
    for (size_t k = 0; k < saved.size(); ++k)
      if (saved[k]._version() != versions[k])
        throw std::runtime_error("a tensor saved for a custom backward was changed in place");
    torch::autograd::variable_list result;
    open_scope();
    try {
      auto js_grads = Napi::Array::New(env, grads.size());
      for (uint32_t k = 0; k < grads.size(); ++k)
        js_grads[k] = grads[k].defined() ? Tensor::wrap(env, grads[k]) : env.Null();
      auto js_saved = Napi::Array::New(env, saved.size());
      for (uint32_t k = 0; k < saved.size(); ++k) js_saved[k] = Tensor::wrap(env, saved[k]);
      Napi::Value returned = closure.Call({js_grads, js_saved});
      auto array = returned.As<Napi::Array>();
      if (array.Length() != inputs)
        throw Napi::Error::New(env, "a custom backward must return one gradient (or null) for each input");
      for (uint32_t k = 0; k < inputs; ++k) {
        Napi::Value gradient = array[k];
        result.push_back(gradient.IsNull() ? at::Tensor() : Tensor::unwrap(gradient));
      }
    } catch (const Napi::Error& error) {
      pending_error = Napi::Reference<Napi::Value>::New(error.Value(), 1);
      close_scope(env, {});
      throw std::runtime_error("a custom backward failed");
    }
    close_scope(env, {});
    return result;
  }

  void release_variables() override {
    saved.clear();
    closure.Reset();
  }
};

std::vector<at::Tensor> tensors_in(const Napi::Value& value) {
  std::vector<at::Tensor> tensors;
  auto array = value.As<Napi::Array>();
  for (uint32_t k = 0; k < array.Length(); ++k) {
    Napi::Value item = array[k];
    tensors.push_back(item.IsNull() || item.IsUndefined() ? at::Tensor() : Tensor::unwrap(item));
  }
  return tensors;
}

// attach(outputs, inputs, saved, backward): the outputs' history becomes a node that calls `backward`.
Napi::Value attach(const Napi::CallbackInfo& info) {
  auto env = info.Env();
  if (!c10::GradMode::is_enabled()) return env.Undefined();
  return guarded(env, "customFunction", [&]() -> Napi::Value {
    auto outputs = tensors_in(info[0]);
    auto inputs = tensors_in(info[1]);
    auto node = c10::make_intrusive<ClosureNode>(env);
    for (const auto& tensor : tensors_in(info[2])) {
      node->saved.push_back(tensor.detach());
      node->versions.push_back(tensor._version());
    }
    node->closure = Napi::Persistent(info[3].As<Napi::Function>());
    node->inputs = inputs.size();
    node->set_next_edges(torch::autograd::collect_next_edges(inputs));
    for (auto& output : outputs) torch::autograd::set_history(output, node);
    return env.Undefined();
  });
}

template <typename Body>
auto with_pending_error(Napi::Env env, const char* where, Body body) -> decltype(body()) {
  std::string reason;
  try {
    return body();
  } catch (const c10::Error& error) {
    reason = first_line(error.what_without_backtrace());
  } catch (const std::exception& error) {
    reason = first_line(error.what());
  }
  if (!pending_error.IsEmpty()) {
    Napi::Value value = pending_error.Value();
    pending_error.Reset();
    throw Napi::Error(env, value);
  }
  throw_torch_error(env, std::string(where) + ": " + reason);
}

// backward(roots, gradients, retainGraph?): accumulates into `.grad` of the leaves.
Napi::Value backward(const Napi::CallbackInfo& info) {
  auto roots = tensors_in(info[0]);
  auto gradients = tensors_in(info[1]);
  const bool retain = info.Length() > 2 && info[2].ToBoolean();
  return with_pending_error(info.Env(), "backward", [&]() -> Napi::Value {
    torch::autograd::backward(roots, gradients, retain);
    return info.Env().Undefined();
  });
}

// gradients(roots, inputs, gradients): d roots / d inputs, nothing accumulated; null where there is no path.
Napi::Value gradients(const Napi::CallbackInfo& info) {
  auto env = info.Env();
  auto roots = tensors_in(info[0]);
  auto inputs = tensors_in(info[1]);
  auto seeds = tensors_in(info[2]);
  auto result = with_pending_error(env, "gradients", [&] {
    return torch::autograd::grad(roots, inputs, seeds, std::nullopt, false, true);
  });
  auto array = Napi::Array::New(env, result.size());
  for (uint32_t k = 0; k < result.size(); ++k)
    array[k] = result[k].defined() ? Tensor::wrap(env, result[k]) : env.Null();
  return array;
}

}  // namespace

void init_autograd(Napi::Env env, Napi::Object exports) {
  // Backward runs on the calling thread on every device, so that closures run where JavaScript runs.
  c10::AutogradState::get_tls_state().set_multithreading_enabled(false);
  pending_error.SuppressDestruct();
  exports["attach"] = Napi::Function::New(env, attach);
  exports["backward"] = Napi::Function::New(env, backward);
  exports["gradients"] = Napi::Function::New(env, gradients);
  exports["setGradEnabled"] = Napi::Function::New(env, [](const Napi::CallbackInfo& i) {
    const bool before = c10::GradMode::is_enabled();
    c10::GradMode::set_enabled(i[0].ToBoolean());
    return Napi::Boolean::New(i.Env(), before);
  });
}

}  // namespace amalgam
