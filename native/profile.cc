// What libtorch's operators and the kernels here take, one after another, as libtorch's own observers see them.
#include <ATen/record_function.h>

#include <chrono>
#include <string>
#include <vector>

#include "tensor.h"

namespace amalgam {
namespace {

struct Call {
  std::string name, shapes;
  int64_t start, end = 0;  // nanoseconds of the steady clock
};
thread_local std::vector<Call> calls;
thread_local at::CallbackHandle observer = 0;

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Place : public at::ObserverContext {
  size_t index;
  explicit Place(size_t i) : index(i) {}
};

std::string shapes_of(const at::RecordFunction& function) {
  std::string text;
  for (const c10::IValue& input : function.inputs()) {
    if (!input.isTensor() || !input.toTensor().defined()) continue;
    if (!text.empty()) text += ' ';
    text += '[';
    for (int64_t k = 0; k < input.toTensor().dim(); ++k) text += (k > 0 ? "," : "") + std::to_string(input.toTensor().size(k));
    text += ']';
  }
  return text;
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
  calls.push_back({function.name(), shapes_of(function), now()});
  return std::make_unique<Place>(calls.size() - 1);
}

void end(const at::RecordFunction&, at::ObserverContext* context) {
  const auto index = static_cast<Place*>(context)->index;
  // A call that began before the recording was stopped and started again is of an earlier one.
  if (index < calls.size() && calls[index].end == 0) calls[index].end = now();
}

// startProfile(): records calls on this thread from now on; an earlier recording is lost.
Napi::Value start_profile(const Napi::CallbackInfo& info) {
  if (observer != 0) at::removeCallback(observer);
  calls.clear();
  observer = at::addThreadLocalCallback(at::RecordFunctionCallback(begin, end).needsInputs(true).scopes(
      {at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION, at::RecordScope::USER_SCOPE}));
  return info.Env().Undefined();
}

// stopProfile(): [name, shapes, start, end] of each call, one after another, in the order of their beginnings.
Napi::Value stop_profile(const Napi::CallbackInfo& info) {
  auto env = info.Env();
  if (observer != 0) at::removeCallback(observer);
  observer = 0;
  auto result = Napi::Array::New(env);
  uint32_t at = 0;
  for (const Call& call : calls) {
    if (call.end == 0) continue;
    result[at++] = Napi::String::New(env, call.name);
    result[at++] = Napi::String::New(env, call.shapes);
    result[at++] = Napi::Number::New(env, static_cast<double>(call.start) / 1e3);
    result[at++] = Napi::Number::New(env, static_cast<double>(call.end) / 1e3);
  }
  calls = {};
  return result;
}

}  // namespace

void init_profile(Napi::Env env, Napi::Object exports) {
  exports["startProfile"] = Napi::Function::New(env, start_profile);
  exports["stopProfile"] = Napi::Function::New(env, stop_profile);
}

}  // namespace amalgam
