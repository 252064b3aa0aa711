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
thread_local Napi::ObjectReference pending_error;

void keep_closure_error(Napi::Env env, const Napi::Error& error) {
  // A thrown value that is no object can't be referred to; it becomes the message of an Error.
  Napi::Value value = error.Value();
  if (!value.IsObject()) value = Napi::Error::New(env, value.ToString().Utf8Value()).Value();
  pending_error = Napi::Persistent(value.As<Napi::Object>());
}

// Closes the scope on every way out.
struct ScopeGuard {
  Napi::Env env;
  explicit ScopeGuard(Napi::Env e) : env(e) { open_scope(); }
  ~ScopeGuard() { close_scope(env, {}); }
};

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
    if (c10::GradMode::is_enabled())
      throw std::runtime_error("a custom function has no second derivative: create_graph can't go through it");
    torch::autograd::variable_list result;
    ScopeGuard guard(env);
    try {
      auto js_grads = Napi::Array::New(env, grads.size());
      for (uint32_t k = 0; k < grads.size(); ++k)
        js_grads[k] = grads[k].defined() ? Tensor::wrap(env, grads[k]) : env.Null();
      auto js_saved = Napi::Array::New(env, saved.size());
      for (uint32_t k = 0; k < saved.size(); ++k) js_saved[k] = Tensor::wrap(env, saved[k]);
      Napi::Value returned = closure.Call({js_grads, js_saved});
      auto array = returned.As<Napi::Array>();
      if (!returned.IsArray() || array.Length() != inputs)
        throw_torch_error(env, "a custom backward must return an array with one gradient (or null) for each input");
      for (uint32_t k = 0; k < inputs; ++k) {
        Napi::Value gradient = array[k];
        result.push_back(gradient.IsNull() ? at::Tensor() : Tensor::unwrap(gradient));
      }
    } catch (const Napi::Error& error) {
      keep_closure_error(env, error);
      throw std::runtime_error("a custom backward failed");
    }
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
    for (auto& output : outputs) {
      for (const auto& input : inputs)
        TORCH_CHECK(!output.is_same(input), "an output is one of the inputs itself; return a new tensor");
      torch::autograd::set_history(output, node);
    }
    return env.Undefined();
  });
}

// backward(roots, gradients, retainGraph?): accumulates into `.grad` of the leaves.
Napi::Value backward(const Napi::CallbackInfo& info) {
  auto roots = tensors_in(info[0]);
  auto gradients = tensors_in(info[1]);
  const bool retain = info.Length() > 2 && info[2].ToBoolean();
  return guarded(info.Env(), "backward", [&]() -> Napi::Value {
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
  auto result = guarded(env, "gradients", [&] {
    return torch::autograd::grad(roots, inputs, seeds, std::nullopt, false, true);
  });
  auto array = Napi::Array::New(env, result.size());
  for (uint32_t k = 0; k < result.size(); ++k)
    array[k] = result[k].defined() ? Tensor::wrap(env, result[k]) : env.Null();
  return array;
}

}  // namespace

void rethrow_closure_error(Napi::Env env) {
  if (pending_error.IsEmpty()) return;
  Napi::Value value = pending_error.Value();
  pending_error.Reset();
  throw Napi::Error(env, value);
}

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
